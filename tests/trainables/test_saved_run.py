"""What a run saves is copied and read as a whole, whatever has become of its files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from trainables import checkpoint
from trainables.errors import DamagedFileError
from trainables.run import Run
from trainables.saved_run import copy_saved_run, read_saved_run


def _save(folder: Path, reports: int = 3) -> Run:
    run = Run(9, metric="score", folder=folder)
    run.resume(model=nn.Linear(1, 1), order=torch.Generator())
    for report in range(reports):
        run.record({"score": -abs(report - 1.0), "other": float("nan")})
    return run


def test_a_copy_has_the_whole_run(tmp_path: Path) -> None:
    assert not copy_saved_run(tmp_path / "none", tmp_path / "copy")
    run = _save(tmp_path / "run")
    assert copy_saved_run(tmp_path / "run", tmp_path / "copy")
    saved, best = read_saved_run(tmp_path / "copy"), checkpoint.read(tmp_path / "copy" / "best")
    assert saved is not None and best is not None
    assert (saved.progress.report, saved.progress.best_report, best[0]["report"]) == (3, 2, 2)
    assert str(saved.history) == str(run.history)
    assert saved.tree["parts"].keys() == {"model", "order"}
    assert best[1]["parts"].keys() == {"model"}


def test_reports_after_the_last_checkpoint_are_not_part_of_it(tmp_path: Path) -> None:
    _save(tmp_path)
    before = {path.name: path.read_bytes() for path in (tmp_path / "last").iterdir()}
    _continue(tmp_path)
    for name in ("manifest.json", "state-3.safetensors"):  # killed after the line was appended
        (tmp_path / "last" / name).write_bytes(before[name])
    saved = read_saved_run(tmp_path)
    assert saved is not None and len(saved.history) == 3
    assert [entry["report"] for entry in _continue(tmp_path).history] == [1, 2, 3, 4]


def _continue(folder: Path) -> Run:
    run = Run(9, metric="score", folder=folder)
    run.resume(model=nn.Linear(1, 1), order=torch.Generator())
    run.record({"score": -9.0})
    return run


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("report", "x"), ("seconds", None), ("best_report", [1]), ("score", {})),
        *(("history", 3), ("history", {"size": 1}), ("tree", {"dict": []})),
    ],
)
def test_a_manifest_of_other_types_is_damaged(tmp_path: Path, key: str, value: Any) -> None:
    _save(tmp_path)
    path = tmp_path / "last" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("#crc32")
    path.write_text(json.dumps({**manifest, key: value}))
    with pytest.raises(DamagedFileError, match=r"last.* is damaged"):
        read_saved_run(tmp_path)


def test_without_its_best_weights_a_run_is_not_continued(tmp_path: Path) -> None:
    _save(tmp_path)
    for path in (tmp_path / "best").iterdir():
        path.unlink()
    for read in (read_saved_run, lambda folder: copy_saved_run(folder, folder / "copy")):
        with pytest.raises(DamagedFileError, match="best is missing"):
            read(tmp_path)
    assert not (tmp_path / "copy").exists()


def test_a_run_of_an_older_version_is_continued(tmp_path: Path) -> None:
    """Its manifest has the whole history, and no checksum."""
    run = _save(tmp_path)
    last = tmp_path / "last"
    manifest = json.loads((last / "manifest.json").read_text())
    for key in ("#crc32", "checksum"):
        del manifest[key]
    (last / "manifest.json").write_text(json.dumps({**manifest, "history": run.history}))
    (last / "history-00000.jsonl").unlink()
    assert copy_saved_run(tmp_path, tmp_path / "copy")
    for folder in (tmp_path, tmp_path / "copy"):
        again = _continue(folder)
        assert str(again.history[:3]) == str(run.history)
        saved = read_saved_run(folder)
        assert saved is not None and str(saved.history) == str(again.history)
