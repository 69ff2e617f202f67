"""How small does a line of weights get when it is pulled towards zero?

A task of no time and no data, whose trials do on request whatever a trial can do.
"""

from __future__ import annotations

import os
import signal
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
    """`behave` says what goes wrong at the second report; `nap` is in seconds per report."""

    seed: int = 0
    learning_rate: float = 0.1
    width: int = 2
    momentum: bool = False
    behave: str = "well"
    nap: float = 0.0

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
        begun = run.pop_partial()
        if not begun:
            time.sleep(config.nap)
        if report == 1 and config.behave == "leave" and not begun:
            os.kill(os.getpid(), signal.SIGTERM)
        if run.preempted():
            run.save_and_preempt({"slept": True})
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
                case "forget" if once(run):
                    raise torch.OutOfMemoryError("CUDA out of memory on purpose")
                case "early":
                    return
                case "mute":
                    del metrics["loss"]
        yield metrics


def once(run: Run) -> bool:
    """Tell whether this was never asked before of the trial, in whatever attempt."""
    assert run.folder is not None
    mark = run.folder.parent / "asked"
    if mark.exists():
        return False
    mark.touch()
    return True


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the two numbers that matter."""
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
