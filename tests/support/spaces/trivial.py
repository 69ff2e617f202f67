"""How small do the weights of a linear layer get when they are pulled towards zero?

A task without data that takes no time. Its trials fail, diverge, wait or end early on request.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from searchspaces.space import SearchSpace
from trainables.run import Loop, Run, seed_everything

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """`behave` is what goes wrong at the second report; `nap` is in seconds per report."""

    seed: int = 0
    learning_rate: float = 0.1
    width: int = 2
    momentum: bool = False
    behave: str = "well"
    nap: float = 0.0
    talk: bool = False

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")


def train(config: Config, run: Run) -> Loop:
    """Pull the weights towards zero, with noise that a wrong random state would change."""
    generator = seed_everything(config.seed)
    model = torch.nn.Sequential(torch.nn.Linear(config.width, 1))
    optimizer = torch.optim.SGD(
        model.parameters(), config.learning_rate, momentum=0.9 if config.momentum else 0.0
    )
    run.keep_predictions(validation=lambda: torch.full((3, 2), 0.5).numpy())
    for report in run.resume(model=model, optimizer=optimizer, generator=generator):
        partial = run.pop_partial()
        if not partial:
            time.sleep(config.nap)
        if report == 1 and config.behave == "preempt" and not partial:
            os.kill(os.getpid(), signal.SIGTERM)
        if run.preempted():
            run.save_and_preempt({"slept": True})
        if config.talk:
            print("report", report)
        optimizer.zero_grad()
        noise = torch.randn(config.width) + torch.rand(config.width, generator=generator)
        loss = sum(p.square().sum() for p in model.parameters()) + 0.01 * (
            model(noise).square().sum()
        )
        loss.backward()
        optimizer.step()
        metrics = {"loss": float(loss.detach()), "pid": float(os.getpid())}
        if report == 1:
            match config.behave:
                case "raise":
                    raise RuntimeError("the task broke on purpose")
                case "nan":
                    metrics["loss"] = float("nan")
                case "out_of_memory" if is_first_call(run):
                    raise torch.OutOfMemoryError("CUDA out of memory on purpose")
                case "early":
                    return
                case "hang":
                    time.sleep(1000)
                case "exit":
                    sys.exit(3)
                case "full":
                    raise OSError(errno.ENOSPC, "No space left on device")
                case "signal 2" | "signal 15" if is_first_call(run):
                    os.kill(os.getpid(), int(config.behave.split()[1]))
                case "swallow":
                    with contextlib.suppress(BaseException):
                        signal.raise_signal(signal.SIGINT)
                case "no_metric":
                    del metrics["loss"]
        yield metrics


def is_first_call(run: Run) -> bool:
    """Return whether no attempt at this trial has called this before."""
    assert run.folder is not None
    marker = run.folder.parent / "called"
    if marker.exists():
        return False
    marker.touch()
    return True


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the learning rate, the width and the momentum."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.4, log=True),
        "width": trial.suggest_int("width", 1, 4),
        "momentum": trial.suggest_categorical("momentum", [False, True]),
    }


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="loss",
    mode="min",
    reports=4,
    trials=4,
)
