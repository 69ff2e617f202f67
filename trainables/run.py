"""What a task sees of the outside: its budget, its device, its data and its checkpoints.

A task is a generator. Its driver calls `Run.record` after each report, while the generator is
suspended, so that what is saved is what was reported. A loop that is preempted in the middle of a
report saves by itself: `Run.save_and_preempt`.
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
from trainables.environment import default_cache, default_device, find_data_folder, find_weights
from trainables.errors import DamagedFileError, PreemptedError, TaskError, UserError
from trainables.history import Extent
from trainables.metrics import read_metrics, read_numbers
from trainables.predictions import check_functions, read_predictions
from trainables.predictor import DataKind, Predictions
from trainables.ranking import Metrics, Mode, describe_divergence, is_better
from trainables.saved_run import (
    Progress,
    append_to_history,
    check_parts,
    continue_history,
    read_saved_run,
    write_last,
)

Loop = Generator[Metrics, None, None]


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, NumPy and torch; return a CPU generator with the same seed."""
    if not 0 <= seed < 2**63:
        raise UserError(f"seed={seed} is not an integer from 0 to {2**63 - 1}")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


@dataclass
class Run:
    """What one training sees of the outside, and how far it has come.

    A test builds `Run(reports=2)`. `dataclasses.replace(run, ...)` gives a new run with the same
    settings, at its start.

    Settings: `reports` is the budget. `metric` and `mode` decide which report is best; without a
    metric the first is. `data` is the folder of data sets, `source` the kind of data, `weights` a
    folder of pretrained weights, `teacher` one with the trained model of another run, whose own
    code is executed only with `trust_code`. Without a `folder` nothing is saved. `share` below 1
    asks a loop for that fraction of every epoch, to time a configuration without training it.
    `on_progress` is called with the fraction of the current report that is done. `preempted`
    returns whether the process must exit soon.

    State: `done` reports, `seconds` of device time, the best `score` and its `best_report`, why
    it `diverged`, if it did, the `history` of reports, `facts` such as the number of parameters,
    the `parts` to save, and `notes` about damaged files for the user.
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
    trust_code: bool = False
    folder: Path | None = None
    share: float = 1.0
    on_progress: Callable[[float], None] | None = None
    preempted: Callable[[], bool] = lambda: False
    done: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    score: float | None = field(default=None, init=False)
    best_report: int = field(default=0, init=False)
    diverged: str = field(default="", init=False)
    notes: list[str] = field(default_factory=list, init=False)
    history: list[dict[str, Any]] = field(default_factory=list, init=False)
    facts: dict[str, float] = field(default_factory=dict, init=False)
    parts: dict[str, Any] = field(default_factory=dict, init=False)
    _predictions: dict[str, Predictions] = field(default_factory=dict, init=False)
    _artifacts: dict[str, Callable[[Path], None]] = field(default_factory=dict, init=False)
    _partial: checkpoint.Tree = field(default=None, init=False)
    _extent: Extent = field(default_factory=Extent, init=False)
    _started: float = field(default_factory=time.monotonic, init=False)

    def __post_init__(self) -> None:
        if self.reports < 1:
            raise UserError(f"reports={self.reports}: a trial makes at least 1 report")

    @property
    def remaining(self) -> range:
        """Return the reports that are still to be made, counted from 0."""
        return range(self.done, self.reports)

    def resume(self, **parts: Any) -> range:
        """Register what changes while training, restore it, and return the remaining reports.

        A part has `state_dict` and `load_state_dict`, or is a `torch.Generator`. Called once,
        before the loop. The range counts reports from 0. What is saved and damaged is not used:
        `notes` says so, and the run starts at its first report. Raises TaskError for a part that
        cannot be saved.
        """
        if self.parts:
            raise TaskError("Run.resume was called twice\ngive it all parts in one call")
        check_parts(parts)
        self.parts = parts
        self.facts["parameters"] = float(
            sum(
                weight.numel()
                for part in parts.values()
                if isinstance(part, torch.nn.Module)
                for weight in part.parameters()
            )
        )
        if self.folder is not None:
            self._restore(self.folder)
        self._started = time.monotonic()
        return self.remaining

    def _restore(self, folder: Path) -> None:
        try:
            saved = read_saved_run(folder)
        except DamagedFileError as error:
            self.notes.append(f"{error}; the training starts again from its first report")
            return
        if saved is None:
            return
        progress = saved.progress
        self.done, self.seconds = progress.report, progress.seconds
        self.score, self.best_report = progress.score, progress.best_report
        self.history = saved.history
        self._extent = continue_history(folder, saved)
        checkpoint.restore(saved.tree, self.parts)
        self._partial = saved.tree.get("partial")

    def keep_predictions(self, **predictions: Predictions) -> None:
        """Register functions that predict a split, by the split's name.

        They are called once, after the last report of the trial, on its best weights.
        """
        self._predictions.update(check_functions(predictions))

    def add_artifact(self, name: str, write: Callable[[Path], None]) -> None:
        """Register a file (.md, .png or .gif) that the report shows of the best trial.

        `write` is called once with its path, after the last report of the trial, on its best
        weights. It must not use the targets of the test set.
        """
        if not re.fullmatch(r"[\w-]+\.(md|png|gif)", name):
            raise ValueError(f"an artifact is NAME.md, NAME.png or NAME.gif, not {name!r}")
        self._artifacts[name] = write

    def out_of_patience(self, patience: int) -> bool:
        """Return whether the score has not improved for `patience` reports (0: never)."""
        return 0 < patience <= self.done - self.best_report

    def record(self, metrics: Mapping[str, Any], loop: Any = None) -> dict[str, float]:
        """Record one report, save `last/` and, if it is the best so far, `best/`.

        Returns its metrics as floats. A report whose searched metric is not finite sets
        `diverged`, and is not saved. `loop` is the generator that yielded it. Raises TaskError
        for what is no report.
        """
        numbers = read_metrics(metrics, self.metric, loop)
        self.facts = read_numbers(self.facts, "value of run.facts")
        self.done += 1
        now = time.monotonic()
        self.seconds += now - self._started
        self._started = now
        self.history.append({"report": self.done, "seconds": self.seconds, "metrics": numbers})
        self.diverged = describe_divergence(numbers, self.metric, self.done)
        if self.diverged:
            return numbers
        score = numbers[self.metric] if self.metric else 0.0  # the first is best without a metric
        if is_best := is_better(score, self.score, self.mode):
            self.score, self.best_report = score, self.done
        if self.folder is not None and self.parts:
            self._save(self.folder, is_best)
        return numbers

    def _save(self, folder: Path, is_best: bool) -> None:
        tree = checkpoint.capture(self.parts)
        self._extent = append_to_history(folder, self.history[-1], self._extent)
        if is_best:
            manifest = {"report": self.done, "score": self.score}
            weights = checkpoint.select_inference_state(tree, self.parts)
            checkpoint.write(folder / "best", manifest, weights)
        write_last(folder, self._progress(), tree)

    def save_and_preempt(
        self,
        partial: Mapping[str, Any],
        generator_states: Mapping[str, torch.Tensor] | None = None,
    ) -> NoReturn:
        """Save `last/` in the middle of a report and raise PreemptedError.

        `partial` holds numbers and tensors, which `pop_partial` returns to the loop that resumes.
        With `generator_states`, the generators resume from those states.
        """
        self.seconds += time.monotonic() - self._started
        if self.folder is not None:
            tree = {**checkpoint.capture(self.parts), "partial": partial}
            tree["parts"].update(generator_states or {})
            write_last(self.folder, self._progress(), tree)
        raise PreemptedError(f"saved in the middle of report {self.done + 1}")

    def pop_partial(self) -> dict[str, Any]:
        """Return, once, what a preempted loop saved in the middle of a report, else nothing."""
        partial, self._partial = self._partial, None
        return dict(partial or {})

    def generator_states(self) -> dict[str, torch.Tensor]:
        """Return the states of all generators among the parts."""
        parts = self.parts.items()
        return {name: p.get_state() for name, p in parts if isinstance(p, torch.Generator)}

    def finish(self) -> None:
        """Write the predictions and artifacts of the best report, beside its weights.

        Raises TaskError for a run without a report.
        """
        if not self.done:
            raise TaskError(
                "the task ended without a single report\nyield the metrics at least once"
            )
        if self.folder is None or not self.best_report:
            return
        if not (self._predictions or self._artifacts):
            return
        best = self.folder / "best"
        if self.best_report != self.done:
            self._restore_best(best)
        best.mkdir(parents=True, exist_ok=True)
        for split, predict in self._predictions.items():
            predicted = read_predictions(split, predict)
            checkpoint.write_predictions(best / f"{split}.parquet", predicted)
        for name, write in self._artifacts.items():
            write(best / name)

    def _restore_best(self, best: Path) -> None:
        if not self.parts:
            raise TaskError(
                f"the best report is {self.best_report} of {self.done}, and its weights were not "
                "saved: Run.resume got no parts\ngive it the model, as run.resume(model=model)"
            )
        found = checkpoint.read(best)
        if found is None:
            raise DamagedFileError(f"the checkpoint {best} is missing")
        checkpoint.restore(found[1], self.parts, strict=False)

    def _progress(self) -> Progress:
        return Progress(self.done, self.seconds, self.score, self.best_report, self._extent)


def build_run(
    reports: int,
    metric: str,
    mode: Mode,
    *,
    data_dir: Path | None = None,
    source: DataKind = "real",
    weights: Path | None = None,
    teacher: Path | None = None,
    trust_code: bool = False,
    device: str | None = None,
    folder: Path | None = None,
) -> Run:
    """Return a run on this machine from what a user has named, else from the environment.

    Raises UserError for a data folder or a device that cannot be used.
    """
    return Run(
        reports=reports,
        metric=metric,
        mode=mode,
        device=default_device(device),
        data=find_data_folder(data_dir),
        cache=default_cache().resolve(),
        source=source,
        weights=find_weights(weights),
        teacher=teacher and teacher.absolute(),
        trust_code=trust_code,
        # A task may change the working directory.
        folder=folder and folder.absolute(),
    )
