"""Teachers are trained once per machine, whoever needs them first."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables import checkpoint
from trainables.pretraining import train_once
from trainables.run import Loop, Run, seed_everything


def count_reports(
    log: list[int], scores: tuple[float, ...] = (0.2, 0.9, 0.4)
) -> Callable[[Run], Loop]:
    """Return a training whose only weight is the number of the report."""

    def train(run: Run) -> Loop:
        log.append(run.reports)
        seed_everything(7)
        model = torch.nn.Linear(1, 1, bias=False)
        for report in run.resume(model=model):
            torch.nn.init.constant_(model.weight, float(report))
            yield {"validation_accuracy": scores[report]}

    return train


def weight(folder: Path | None) -> float:
    assert folder is not None
    model = checkpoint.load_module(torch.nn.Linear(1, 1, bias=False), folder)
    return model.get_parameter("weight").item()


def test_a_teacher_is_trained_once_and_its_best_weights_are_saved(tmp_path: Path) -> None:
    log: list[int] = []
    for _ in range(2):
        found = train_once("t", {"seed": 0}, Run(1, cache=tmp_path), count_reports(log), reports=3)
        assert weight(found) == 1.0
    assert log == [3]
    assert not list(tmp_path.rglob("last"))


def test_other_settings_data_or_length_are_another_teacher(tmp_path: Path) -> None:
    log: list[int] = []
    for key, source, reports in (
        ({"seed": 0}, "real", 3),
        ({"seed": 1}, "real", 3),
        ({"seed": 0}, "placeholder", 3),
        ({"seed": 0}, "real", 2),
    ):
        run = Run(1, cache=tmp_path, source=source)  # type: ignore[arg-type]
        train_once("t", key, run, count_reports(log), reports=reports)
    assert log == [3, 3, 3, 2]


def test_of_trials_that_start_at_once_one_trains(tmp_path: Path) -> None:
    log: list[int] = []
    found: list[Path | None] = []
    start = threading.Barrier(10)

    def trial() -> None:
        start.wait()
        run = Run(1, cache=tmp_path)
        found.append(train_once("t", {}, run, count_reports(log), reports=3))

    trials = [threading.Thread(target=trial) for _ in range(10)]
    for thread in trials:
        thread.start()
    for thread in trials:
        thread.join()
    assert log == [3]
    assert len(found) == 10 and len(set(found)) == 1


def test_a_timing_run_trains_no_teacher(tmp_path: Path) -> None:
    run = Run(1, cache=tmp_path, share=0.1)
    assert train_once("t", {}, run, count_reports([]), reports=3) is None
    assert not list(tmp_path.iterdir())
    assert run.facts["teacher_reports"] == 3


def test_a_teacher_that_diverged_or_was_killed_leaves_nothing(tmp_path: Path) -> None:
    def killed(run: Run) -> Loop:
        model = torch.nn.Linear(1, 1)
        for _ in run.resume(model=model):
            yield {"validation_accuracy": 0.5}
            raise KeyboardInterrupt

    run = Run(1, cache=tmp_path)
    with pytest.raises(ValueError, match="t diverged: validation_accuracy is nan at report 2"):
        train_once("t", {}, run, count_reports([], (0.1, float("nan"), 1.0)), reports=3)
    with pytest.raises(KeyboardInterrupt):
        train_once("t", {}, run, killed, reports=3)
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]
    assert weight(train_once("t", {}, run, count_reports([]), reports=3)) == 1.0


def test_a_teacher_does_not_change_the_random_numbers_of_the_trial(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        seed_everything(0)
        train_once("t", {}, Run(1, cache=tmp_path), count_reports([]), reports=3)
        drawn.append(torch.rand(()).item())
    assert drawn[0] == drawn[1]
