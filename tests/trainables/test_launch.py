"""A task in two processes: gradients are averaged, and none of them outlives the trial."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from searchspaces.loading import load_space
from trainables.errors import PreemptedError, TaskError
from trainables.launch import check_launched, count_processes, launch
from trainables.loop import end_loop, start_loop
from trainables.run import Run

SPACE = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from searchspaces import SearchSpace
from trainables.run import seed_everything


@dataclass(frozen=True)
class Config:
    seed: int = 0
    behave: str = "well"
    folder: str = ""


class OutOfCoffeeError(Exception):
    pass


def train(config, run):
    run.launch(train_in_parallel, config)


def train_in_parallel(config, run):
    rank = distributed.get_rank()
    Path(config.folder, f"rank-{rank}").write_text(str(os.getpid()))
    seed_everything(config.seed)
    model = torch.nn.Linear(1, 1, bias=False)
    parallel = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.5, momentum=0.5)
    run.keep_predictions(validation=lambda: torch.full((3, 2), model.weight.item()).numpy())
    for report in run.resume(model=model, optimizer=optimizer):
        if report == 1 and rank == 1 and config.behave == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if report == 1 and rank == 1 and config.behave == "raises":
            raise OutOfCoffeeError("empty")
        if report == 1 and config.behave == "waits":
            while not run.preempted():
                time.sleep(0.01)
            run.save_and_preempt({})
        optimizer.zero_grad()
        noise = torch.rand(())
        (parallel(torch.ones(1, 1)) * (1 + rank + noise)).sum().backward()
        optimizer.step()
        run.report({"loss": model.weight.item(), "gradient": model.weight.grad.item() - noise})


SPACE = SearchSpace(
    Config, train, lambda trial: {}, metric="loss", mode="min", reports=4, resources={"cpu": 2}
)
"""

Drive = Callable[..., list[dict[str, float]]]


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Return a function that makes up to so many reports, in a folder, and ends the trial."""
    file = tmp_path / "parallel.py"
    file.write_text(SPACE)
    space = load_space(str(file))

    def make(folder: str, most: int = 4, **changes: Any) -> list[dict[str, float]]:
        run = Run(4, "loss", "min", folder=tmp_path / folder, processes=2)
        run = replace(run, preempted=changes.pop("preempted", lambda: False))
        config = replace(space.config(), folder=str(tmp_path), **changes)
        loop = start_loop(space.train, config, run)
        try:
            for report in loop:
                run.record(report, loop)
                if run.done >= run.reports:
                    end_loop(loop)
                    run.finish()
                if run.done >= min(most, run.reports):
                    break
        finally:
            loop.close()
        return [entry["metrics"] for entry in run.history]

    return make


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def read_pids(folder: Path) -> list[int]:
    return [int((folder / f"rank-{n}").read_text()) for n in range(2)]


def test_gradients_are_averaged_and_a_resumed_trial_has_the_same_numbers(
    drive: Drive, tmp_path: Path
) -> None:
    whole = drive("whole")
    # The gradients of the ranks are 1 and 2, plus the same noise.
    assert [report["gradient"] for report in whole] == pytest.approx([1.5] * 4, abs=1e-5)
    assert (tmp_path / "whole" / "best" / "validation.parquet").exists()
    assert drive("cut", 2) == whole[:2]
    assert not any(map(is_running, read_pids(tmp_path)))
    assert drive("cut") == whole
    assert not any(map(is_running, read_pids(tmp_path)))


def test_a_killed_process_fails_the_attempt(drive: Drive, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="process 1 of the task was ended by SIGKILL"):
        drive("a", behave="killed")
    assert not any(map(is_running, read_pids(tmp_path)))


def test_an_error_of_a_process_is_raised_with_its_traceback(drive: Drive) -> None:
    with pytest.raises(Exception, match="empty") as error:
        drive("a", behave="raises")
    assert type(error.value).__name__ == "OutOfCoffeeError"
    assert "in train_in_parallel" in str(error.value.__cause__)


def test_a_preempted_trial_saves_and_continues(drive: Drive, tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(PreemptedError, match="saved in the middle of report 2"):
        drive("a", behave="waits", preempted=lambda: time.monotonic() > began + 1)
    assert drive("a") == drive("b")


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux")
def test_no_process_outlives_a_worker_that_is_killed(drive: Drive, tmp_path: Path) -> None:
    worker = os.fork()
    if worker == 0:
        try:
            drive("a", behave="waits")
        finally:
            os._exit(1)
    deadline = time.monotonic() + 50
    while not all((tmp_path / f"rank-{n}").exists() for n in range(2)):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.2)
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    while any(map(is_running, read_pids(tmp_path))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_trial_has_a_process_per_gpu_or_else_per_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert count_processes({"cpu": 2, "gpu": 4}, cpu) == 2
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert count_processes({"cpu": 8, "gpu": 4}, cuda) == 2
    assert count_processes({"cpu": 8}, cuda) == 1
    assert count_processes({"gpu": 0.25}, cuda) == 1


def test_a_task_that_leaves_a_gpu_idle_is_rejected() -> None:
    run = Run(1, processes=2)
    check_launched(run)
    run.device = torch.device("cuda")
    with pytest.raises(TaskError, match="the trial has 2 GPUs, and its task uses one"):
        check_launched(run)


def test_a_function_that_other_processes_cannot_import_is_rejected() -> None:
    def train(run: Run) -> None:
        """Do nothing."""

    train.__module__ = "__main__"
    with pytest.raises(TaskError, match="a function of a notebook or script"):
        launch(Run(1), train)
