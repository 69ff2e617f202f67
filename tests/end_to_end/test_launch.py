"""A search on Ray whose trials train in two processes each: averaged, stopped, killed, retried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.support.searches import assert_mlflow_equals_ledger, read_ledger

SPACE = """
import os, signal
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel

from searchspaces import SearchSpace

FOLDER = Path({folder!r})


@dataclass(frozen=True)
class Config:
    step: float = 0.25
    killed: bool = False


def train(config, run):
    run.launch(train_in_parallel, config)


def train_in_parallel(config, run):
    rank = distributed.get_rank()
    (FOLDER / "ranks" / str(os.getpid())).touch()
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    parallel = DistributedDataParallel(model)
    for report in run.resume(model=model):
        once = FOLDER / "killed"
        if config.killed and rank == 1 and report == 2 and not once.exists():
            once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        parallel(torch.full((1, 1), 1.0 + 2 * rank)).sum().backward()
        model.weight.data -= config.step * model.weight.grad
        model.weight.grad = None
        run.report({{"loss": model.weight.item(), "processes": distributed.get_world_size()}})


SPACE = SearchSpace(
    Config,
    train,
    lambda trial: {{"step": trial.suggest_float("step", 0, 1)}},
    metric="loss",
    mode="min",
    reports=4,
    min_reports=1,
    initial_configs=({{"step": 0.5, "killed": True}}, {{"step": 0.125}}),
    resources={{"cpu": 2}},
)
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_trials_of_two_processes_are_stopped_and_retried_as_others(
    tune: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    ranks = tmp_path / "ranks"
    ranks.mkdir()
    file = tmp_path / "parallel.py"
    file.write_text(SPACE.format(folder=str(tmp_path)))
    code, output = tune("--space", file, "--trials", 3, "--scheduler", "asha")
    assert code == 0, output
    logs = read_ledger(tmp_path / "runs" / "parallel").trial_logs
    losses = {trial: [r.metrics["loss"] for r in log.reports] for trial, log in logs.items()}
    # The gradients of the processes are 1 and 3: a step is twice as long as `step`.
    assert losses == {0: [-0.5, -1, -1.5, -2], 1: [-1, -2, -3, -4], 2: [-0.25]}
    assert all(r.metrics["processes"] == 2 for log in logs.values() for r in log.reports)
    assert [log.outcome for log in logs.values()] == ["complete", "complete", "stopped"]
    assert [log.attempts for log in logs.values()] == [1, 2, 1]
    (failure,) = logs[1].failures
    assert failure.message == "RuntimeError: process 1 of the task was ended by SIGKILL"
    started = [int(path.name) for path in ranks.iterdir()]
    assert len(started) == 2 * 4
    assert not any(map(psutil.pid_exists, started))
    assert_mlflow_equals_ledger(tmp_path / "runs", "parallel")
