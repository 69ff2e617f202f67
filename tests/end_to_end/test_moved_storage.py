"""A storage with an unusual name, which is moved and copied between two parts of a search."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cli import main
from reports.__main__ import main as report
from tests.support.searches import assert_mlflow_equals_ledger


@pytest.mark.slow
def test_a_search_continues_where_its_storage_is_now(
    space_file: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    space = str(space_file("SPACE = replace(SPACE, arms=(), trials=3)"))
    words = ["--space", space, "--executor", "inline", "--scheduler", "none"]
    assert main([*words, "--storage", "a?b 50%41#"]) == 0
    command = f"--backend-store-uri sqlite+pysqlite:///{tmp_path}/a%3Fb%2050%2541%23/mlflow.db"
    assert command in capsys.readouterr().out
    shutil.move("a?b 50%41#", "moved")
    assert main([*words, "--storage", "moved", "--resume", "--trials", "4"]) == 0
    shutil.copytree("moved", "copy")
    assert main([*words, "--storage", "copy", "--resume", "--trials", "5"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "moved", "toy.py"]
    for folder, trials in (("moved", 4), ("copy", 5)):
        assert_mlflow_equals_ledger(tmp_path / folder)
        assert report(["toy", "--storage", folder, "--out", f"report-{folder}"]) == 0
        assert f"ran {trials} trials" in (tmp_path / f"report-{folder}/report.md").read_text()
        runs = list((tmp_path / folder / "artifacts").glob("*/artifacts/predictions"))
        assert len(runs) == trials
