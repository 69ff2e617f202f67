"""All that a task sees of the outside world: how long to train, on what, and where it left off.

A task is a generator; whoever drives it calls `Run.record` after each report, while the
generator stands still, so that what is saved is what was reported. Only a loop that must leave in
the middle of a report saves by itself: `Run.put_down`.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from trainables import checkpoint
from trainables.environment import default_cache
from trainables.errors import PreemptedError, UserError
from trainables.predictor import DataKind, Predictions
from trainables.ranking import Metrics, Mode, best_report, is_finite

Loop = Generator[Metrics, None, None]


def attempt_folder(search: Path, trial: int, attempt: int) -> Path:
    """Name the folder that an attempt at a trial writes to, below the search's folder."""
    return search / "trials" / f"{trial:03d}" / f"attempt-{attempt}"


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch, and give a generator (CPU) with the same seed."""
    if not 0 <= seed < 2**63:
        raise UserError(f"seed={seed} is not a whole number from 0 to {2**63 - 1}")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@dataclass
class Run:
    """A trial's budget, device, places and memory; a test builds `Run(reports=2)`.

    With `folder` None nothing is written. `weights` is a folder of pretrained weights, `teacher`
    one with the trained model of another run. `share` below 1 asks a loop to do only that part
    of every epoch: a probe that times a configuration without training it. `tick`, where there
    is one, hears which share of the present report is done. `leaving` tells a loop that asks
    that its process must end soon: one that can `put_down` its work in the middle of a report.
    """

    reports: int
    metric: str = ""
    mode: Mode = "max"
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    data: Path | None = None
    cache: Path = field(default_factory=default_cache)
    source: DataKind = "real"
    download: bool = True
    weights: Path | None = None
    teacher: Path | None = None
    folder: Path | None = None
    share: float = 1.0
    on_progress: Callable[[float], None] | None = None
    preempted: Callable[[], bool] = lambda: False
    done: int = 0
    seconds: float = 0.0
    score: float | None = None
    best_report: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    parts: dict[str, Any] = field(default_factory=dict)
    _predictions: dict[str, Predictions] = field(default_factory=dict)
    _exhibits: dict[str, Callable[[Path], None]] = field(default_factory=dict)
    _partial: checkpoint.Tree = None
    _started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        if self.reports < 1:
            raise UserError(f"a trial makes at least 1 report, not {self.reports}")

    @property
    def remaining(self) -> range:
        """Give the reports that are yet to be made, counted from 0."""
        return range(self.done, self.reports)

    def resume(self, **parts: Any) -> range:
        """Remember what changes while training, restore it, and give the reports still owed.

        A part has `state_dict` and `load_state_dict`, or is a `torch.Generator`. Called once,
        at the head of the loop. The range counts reports from 0.
        """
        if self.parts:
            raise RuntimeError("Run.resume was called twice; give it all parts in one call")
        self.parts = parts
        self.facts["parameters"] = float(
            sum(
                weight.numel()
                for part in parts.values()
                if isinstance(part, torch.nn.Module)
                for weight in part.parameters()
            )
        )
        if self.folder is not None and (found := checkpoint.read(self.folder / "last")):
            manifest, tree = found
            self.done, self.seconds = manifest["report"], manifest["seconds"]
            self.score, self.best_report = manifest["score"], manifest["best_report"]
            self.history = manifest["history"]
            checkpoint.restore(tree, parts)
            self._partial = tree.get("midway")
        self._started = time.monotonic()
        return self.remaining

    def keep_predictions(self, **predictions: Predictions) -> None:
        """Name the splits whose per-example predictions are to be stored, and how to make them.

        The callables run once, when the trial has made its last report, on its best weights.
        """
        self._predictions.update(predictions)

    def show(self, name: str, write: Callable[[Path], None]) -> None:
        """Name a file (.md, .png or .gif) that a report is to show of the best trial.

        `write` gets its path, and runs once, when the trial has made its last report, on its
        best weights. It must not look at the answers of the test set.
        """
        if not re.fullmatch(r"[\w-]+\.(md|png|gif)", name):
            raise ValueError(f"a report shows NAME.md, NAME.png or NAME.gif, not {name!r}")
        self._exhibits[name] = write

    def out_of_patience(self, patience: int) -> bool:
        """Tell whether so many reports (0: never) brought nothing better: time to stop early."""
        return 0 < patience <= self.done - self.best_report

    def record(self, metrics: Metrics) -> None:
        """Count one report, and save `last/` and, if it is the best so far, `best/`.

        The history of reports is saved too: one that nobody heard is told again after a resume.
        """
        if self.metric and self.metric not in metrics:
            raise ValueError(
                f"the report lacks the metric {self.metric!r}; it has {sorted(metrics)}"
            )
        self.done += 1
        now = time.monotonic()
        self.seconds += now - self._started
        self._started = now
        self.history.append(
            {"report": self.done, "seconds": self.seconds, "metrics": dict(metrics)}
        )
        if not is_finite(metrics):
            return
        if self.metric:
            counted = ((entry["report"], entry["metrics"]) for entry in self.history)
            best = best_report(counted, self.metric, self.mode)
        else:
            best = (0.0, 1)
        assert best is not None
        self.score, self.best_report = best
        is_best = self.best_report == self.done
        if self.folder is None or not self.parts:
            return
        tree = checkpoint.capture(self.parts)
        manifest = self._manifest()
        if is_best:
            checkpoint.write(
                self.folder / "best", manifest, checkpoint.select_inference_state(tree, self.parts)
            )
        checkpoint.write(self.folder / "last", manifest, tree)

    def save_and_preempt(
        self, midway: Mapping[str, Any], draws: Mapping[str, torch.Tensor] | None = None
    ) -> NoReturn:
        """Save `last/` in the middle of a report, and leave the loop with PreemptedError.

        `midway` is what `take_up` gives to the loop that goes on: numbers and tensors. With
        `draws`, the generators will be as they were when those were asked for.
        """
        self.seconds += time.monotonic() - self._started
        if self.folder is not None:
            tree = {**checkpoint.capture(self.parts), "midway": midway}
            tree["parts"].update(draws or {})
            checkpoint.write(self.folder / "last", self._manifest(), tree)
        raise PreemptedError(f"put down in the middle of report {self.done + 1}")

    def pop_partial(self) -> dict[str, Any]:
        """Give, once, what an interrupted loop left in the middle of a report; else nothing."""
        midway, self._partial = self._partial, None
        return dict(midway or {})

    def generator_states(self) -> dict[str, torch.Tensor]:
        """Give the states of all generators among the parts."""
        parts = self.parts.items()
        return {name: p.get_state() for name, p in parts if isinstance(p, torch.Generator)}

    def finish(self) -> None:
        """Store the kept predictions and exhibits of the best report, beside its weights."""
        if self.folder is None or not self.best_report:
            return
        best = self.folder / "best"
        if not (self._predictions or self._exhibits):
            return
        if self.best_report != self.done and (found := checkpoint.read(best)):
            checkpoint.restore(found[1], self.parts, strict=False)
        for split, predict in self._predictions.items():
            checkpoint.write_predictions(best / f"{split}.parquet", predict())
        for name, write in self._exhibits.items():
            write(best / name)

    def _manifest(self) -> dict[str, Any]:
        return {
            "report": self.done,
            "score": self.score,
            "best_report": self.best_report,
            "seconds": self.seconds,
            "history": self.history,
        }
