"""A run is built from what the user names, and the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.build_run import build_run
from trainables.errors import UserError


def test_a_run_is_built_from_what_the_user_names_and_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_DATA", str(tmp_path))
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path / "cache"))
    run = build_run(3, "loss", "min", device="cpu", source="synthetic")
    assert (run.reports, run.metric, run.mode, run.source) == (3, "loss", "min", "synthetic")
    assert (run.data, run.cache, run.device.type) == (tmp_path, tmp_path / "cache", "cpu")
    with pytest.raises(UserError, match="--data-dir"):
        build_run(3, "loss", "min", data_dir=tmp_path / "none")
    monkeypatch.chdir(tmp_path)
    run = build_run(3, "loss", "min", device="cpu", folder=Path("out"), teacher=Path("t"))
    assert (run.folder, run.teacher) == (tmp_path / "out", tmp_path / "t")
