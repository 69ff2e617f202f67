"""A task in two processes: gradients are averaged, and none of them outlives the trial."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import pytest
import torch

from searchspaces.loading import load_space
from trainables.errors import PreemptedError, TaskError
from trainables.launch import Rank, _end, check_launched, count_processes, launch
from trainables.loop import end_loop, start_loop
from trainables.run import Run, seed_everything

SPACE = """
import os, signal, time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed

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
    model.register_buffer("momentum", torch.zeros(1, 1))
    run.keep_predictions(validation=lambda: torch.full((3, 2), model.weight.item()).numpy())
    for report in run.resume(model=model):
        if report == 1 and rank == 1 and config.behave == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if report == 1 and rank == 1 and config.behave == "raises":
            raise OutOfCoffeeError("empty")
        if report == 1 and config.behave == "waits":
            while not run.preempted():
                time.sleep(0.01)
            run.save_and_preempt({})
        noise = torch.rand(())
        gradient = torch.full((1, 1), 1 + rank + noise.item())
        distributed.all_reduce(gradient)  # by hand: optimizers of torch take seconds to import
        model.momentum.mul_(0.5).add_(gradient / 2)
        model.weight.data -= 0.5 * model.momentum
        run.report({"loss": model.weight.item(), "gradient": gradient.item() / 2 - noise})


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


def train_alone() -> list[float]:
    """Return the losses of the task's default configuration, computed in one process."""
    seed_everything(0)
    weight, momentum, losses = torch.nn.Linear(1, 1, bias=False).weight.item(), 0.0, []
    for _ in range(4):
        momentum = 0.5 * momentum + 1.5 + float(torch.rand(()))
        weight -= 0.5 * momentum
        losses.append(weight)
    return losses


def test_gradients_are_averaged_and_a_preempted_trial_continues_with_the_same_numbers(
    drive: Drive, tmp_path: Path
) -> None:
    began = time.monotonic()
    with pytest.raises(PreemptedError, match="saved in the middle of report 2"):
        drive("a", behave="waits", preempted=lambda: time.monotonic() > began + 1)
    reports = drive("a")
    # The gradients of the ranks are 1 and 2, plus the same noise.
    assert [report["gradient"] for report in reports] == pytest.approx([1.5] * 4, abs=1e-5)
    assert [report["loss"] for report in reports] == pytest.approx(train_alone(), abs=1e-5)
    assert (tmp_path / "a" / "best" / "validation.parquet").exists()
    assert not any(map(is_running, read_pids(tmp_path)))


@pytest.mark.slow
def test_a_trial_that_is_stopped_at_a_report_leaves_no_process(
    drive: Drive, tmp_path: Path
) -> None:
    assert len(drive("a", 2)) == 2
    assert not any(map(is_running, read_pids(tmp_path)))


@pytest.mark.slow
def test_a_killed_process_fails_the_attempt(drive: Drive, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="process 1 of the task was ended by SIGKILL"):
        drive("a", behave="killed")
    assert not any(map(is_running, read_pids(tmp_path)))


def test_an_error_of_a_process_is_raised_with_its_traceback(drive: Drive) -> None:
    with pytest.raises(Exception, match="empty") as error:
        drive("a", behave="raises")
    assert type(error.value).__name__ == "OutOfCoffeeError"
    assert "in train_in_parallel" in str(error.value.__cause__)


@pytest.mark.slow
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
    os.kill(worker, signal.SIGKILL)
    os.waitpid(worker, 0)
    while any(map(is_running, read_pids(tmp_path))):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_a_process_has_started_ends_with_it() -> None:
    process = subprocess.Popen(
        ["/bin/sh", "-c", "sleep 300 & echo $!; wait"],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.stdout.close()
    _end([Rank(1, process, Pipe()[0])])
    assert process.returncode == -signal.SIGKILL
    while is_running(child):
        time.sleep(0.01)


def test_an_argument_that_cannot_be_sent_is_named_before_a_process_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(subprocess, "Popen")
    words = r"run\.launch cannot send argument 2 of its function to other processes: .*lock"
    with pytest.raises(TaskError, match=words):
        launch(Run(1), count_processes, {}, threading.Lock())


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
