"""Parts that save themselves as files, and the folder of a framework, in checkpoints."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import torch

from trainables import checkpoint
from trainables.errors import DamagedFileError, TaskError, UserError
from trainables.file_parts import create_folder, is_file_part
from trainables.run import Run
from trainables.saved_run import copy_saved_run


class Counter:
    """Counts, and saves itself as a file, or as a folder with one."""

    def __init__(self, deep: bool = False) -> None:
        self.count = 0
        self.deep = deep

    def save(self, path: Path) -> None:
        if self.deep:
            path.mkdir()
            path = path / "a" / "count.txt"
            path.parent.mkdir()
        path.write_text(str(self.count))

    def load(self, path: Path) -> None:
        self.count = int((path / "a" / "count.txt" if self.deep else path).read_text())


def train(run: Run, scores: list[float], most: int = 99, deep: bool = False) -> Counter:
    """Make reports; the counter, a file of a framework and random numbers grow with them."""
    counter = Counter(deep)
    log = run.checkpoint_dir / "logs" / "log.txt"
    run.keep_predictions(test=lambda: [counter.count, len(log.read_text())])  # type: ignore[arg-type, return-value]
    for report in run.resume(counter=counter):
        if not most:
            break
        most -= 1
        counter.count += 1
        log.parent.mkdir(exist_ok=True)
        with log.open("a") as file:
            file.write("x")
        run.record({"score": scores[report], "drawn": random.random()})
    return counter


@pytest.mark.parametrize("deep", [False, True])
def test_files_are_restored_after_any_report(tmp_path: Path, deep: bool) -> None:
    scores = [0.1, 0.4, 0.2, 0.3]
    random.seed(1)
    whole = Run(4, metric="score", folder=tmp_path / "whole")
    train(whole, scores, deep=deep)
    whole.finish()
    for first in (1, 2, 3):
        folder = tmp_path / str(first)
        random.seed(1)
        train(Run(4, metric="score", folder=folder), scores, first, deep)
        (folder / ".files" / "logs" / "log.txt").write_text("not of a report")
        assert copy_saved_run(folder, tmp_path / f"{first}-again")
        shutil.rmtree(folder)
        run = Run(4, metric="score", folder=tmp_path / f"{first}-again")
        assert train(run, scores, deep=deep).count == 4
        run.finish()
        best = tmp_path / f"{first}-again" / "best"
        assert [e["metrics"] for e in run.history] == [e["metrics"] for e in whole.history]
        assert pq.read_table(best / "test.parquet")["answer"].to_pylist() == [2, 2]
        assert (checkpoint.find_files(best) / "logs" / "log.txt").read_text() == "xx"
        with pytest.raises(UserError, match="no files of the part 'model'"):
            checkpoint.find_files(best, "model")
        assert sorted(p.name for p in best.parent.iterdir()) == ["best", "last"]
        assert len(list(best.glob("files-*"))) == 1


def test_best_and_last_share_files_and_keep_their_own_content(tmp_path: Path) -> None:
    train(Run(2, metric="score", folder=tmp_path), [0.1, 0.2])
    files = [checkpoint.find_files(tmp_path / name, "counter") for name in ("last", "best")]
    assert files[0].stat().st_ino == files[1].stat().st_ino
    train(Run(3, metric="score", folder=tmp_path), [0.1, 0.2, 0.0])
    last, best = (checkpoint.find_files(tmp_path / n, "counter") for n in ("last", "best"))
    assert (last.read_text(), best.read_text()) == ("3", "2")


@pytest.mark.parametrize("damage", ["changed", "lost"])
def test_a_damaged_file_is_found(tmp_path: Path, damage: str) -> None:
    train(Run(2, metric="score", folder=tmp_path), [0.2, 0.1])
    path = checkpoint.find_files(tmp_path / "last") / "logs" / "log.txt"
    path.write_text("xy") if damage == "changed" else path.unlink()
    with pytest.raises(DamagedFileError, match="last is damaged"):
        checkpoint.read(tmp_path / "last")
    run = Run(2, metric="score", folder=tmp_path)
    assert train(run, [0.2, 0.1]).count == 2
    assert len(run.notes) == 1


def test_a_preempted_loop_saves_its_files_in_the_middle_of_a_report(tmp_path: Path) -> None:
    run = Run(2, metric="score", folder=tmp_path)
    counter = train(run, [0.1, 0.2], 1)
    counter.count = 7
    with pytest.raises(Exception, match="saved in the middle of report 2"):
        run.save_and_preempt({"step": 3})
    again, counter = Run(2, metric="score", folder=tmp_path), Counter()
    again.resume(counter=counter)
    assert (counter.count, again.done, again.pop_partial()) == (7, 1, {"step": 3})
    assert (again.checkpoint_dir / "logs" / "log.txt").read_text() == "x"


def test_weights_for_inference_are_modules_and_the_files_of_a_framework(tmp_path: Path) -> None:
    run = Run(1, metric="score", folder=tmp_path)
    (run.checkpoint_dir / "tokens.txt").write_text("a b")
    run.resume(model=torch.nn.Linear(1, 1), counter=Counter())
    run.record({"score": 1.0})
    best, last = (checkpoint.read(tmp_path / name) for name in ("best", "last"))
    assert best and last
    assert sorted(best[1]["parts"]) == ["checkpoint_dir", "model"]
    assert sorted(last[1]["parts"]) == ["checkpoint_dir", "counter", "model"]


def test_what_saves_nothing_or_cannot_be_copied_is_rejected(tmp_path: Path) -> None:
    class Nothing(Counter):
        def save(self, path: Path) -> None:
            path.with_suffix(".bin").touch()

    run = Run(1, metric="score", folder=tmp_path)
    run.resume(model=Nothing())
    with pytest.raises(TaskError, match=r"the part 'model' \(Nothing\) has saved nothing"):
        run.record({"score": 1.0})
    other = Run(1, metric="score", folder=tmp_path / "other")
    (other.checkpoint_dir / ".hidden").touch()
    with pytest.raises(TaskError, match=r"checkpoint_dir/\.hidden'.* is not copied"):
        other.record({"score": 1.0})
    with pytest.raises(TaskError, match="the name 'checkpoint_dir', which is taken"):
        other.resume(checkpoint_dir=Counter())


def test_the_folder_of_a_run_without_one_is_deleted_with_it() -> None:
    run: Any = Run(1)
    path = run.checkpoint_dir
    assert path.is_dir() and path == run.checkpoint_dir
    run.record({"score": 1.0})
    del run
    assert not path.parent.exists()
    assert create_folder(None).path.name == ".files"


def test_a_part_with_a_state_is_no_file() -> None:
    assert is_file_part(Counter())
    assert not is_file_part(Counter)
    assert not is_file_part(torch.nn.Linear(1, 1))
