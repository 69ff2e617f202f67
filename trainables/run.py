"""What a task sees of the outside: its budget, its device, its data and its checkpoints.

A task is a generator, or a plain function that calls `Run.report`. Its driver calls `Run.record`
after each report, while the task is suspended, so that what is saved is what was reported. A loop
that is preempted in the middle of a report saves by itself: `Run.save_and_preempt`.
"""

from __future__ import annotations

import random
import shutil
import sys
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
import torch

from trainables import checkpoint
from trainables.environment import default_cache
from trainables.errors import DamagedFileError, PreemptedError, TaskError, UserError
from trainables.file_parts import DRAFT, FRAMEWORK, WORKING, create_folder
from trainables.history import Extent
from trainables.metrics import find_yield, read_metrics, read_numbers
from trainables.outputs import Outputs
from trainables.predictor import DataKind, Expected, Predictions, Predictor
from trainables.ranking import Metrics, Mode, describe_divergence, is_better
from trainables.saved_run import (
    Progress,
    SavedRun,
    append_to_history,
    check_parts,
    continue_history,
    count_parameters,
    holds_weights,
    read_saved_run,
    restore_best,
    write_last,
)
from trainables.tree import Tree

Loop = Generator[Metrics, None, None]
Stage = Literal["new", "started", "resumed"]


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
    `expected` says, by split, what predictions must fit. `on_progress` is called with the fraction
    of the current report that is done. `preempted` returns whether the process must exit soon.
    `model` is a trained one that is scored on the data: they are read by its columns, and may be
    few.

    State: `done` reports, `seconds` of device time, the best `score` and its `best_report`, why
    it `diverged`, if it did, the `history` of reports, `facts` such as the number of parameters,
    the `parts` to save, and `notes` about damaged files for the user. `hand_over` passes the
    reports of a plain function to its driver; `launch` is that of `trainables.launch`.
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
    processes: int = 1
    expected: Mapping[str, Expected] = field(default_factory=dict)
    on_progress: Callable[[float], None] | None = None
    preempted: Callable[[], bool] = lambda: False
    model: Predictor | None = None
    done: int = field(default=0, init=False)
    seconds: float = field(default=0.0, init=False)
    score: float | None = field(default=None, init=False)
    best_report: int = field(default=0, init=False)
    diverged: str = field(default="", init=False)
    notes: list[str] = field(default_factory=list, init=False)
    history: list[dict[str, Any]] = field(default_factory=list, init=False)
    facts: dict[str, float] = field(default_factory=dict, init=False)
    parts: dict[str, Any] = field(default_factory=dict, init=False)
    hand_over: Callable[[Mapping[str, Any]], Any] | None = field(default=None, init=False)
    launch: Any = field(default=None, init=False)
    _outputs: Outputs = field(default_factory=Outputs, init=False)
    _saved: SavedRun | None = field(default=None, init=False)
    _stage: Stage = field(default="new", init=False)
    _caller: str = field(default="", init=False)
    _partial: Tree = field(default=None, init=False)
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

        A part has `state_dict` and `load_state_dict`, or `save(path)` and `load(path)`, or is a
        `torch.Generator`. Called once, before the loop. The range counts reports from 0. What is
        saved and damaged is not used: `notes` says so, and the run starts at its first report.
        Raises TaskError for a part that cannot be saved.
        """
        check_parts(parts)
        if self._stage == "resumed":
            raise TaskError("Run.resume was called twice\ngive it all parts in one call")
        self.restore_progress()
        self._stage = "resumed"
        self.parts |= parts
        self.facts |= count_parameters(parts)
        if self._saved is not None:
            checkpoint.restore(self._saved.tree, parts)
            self._partial, self._saved = self._saved.tree.get("partial"), None
        self._started = time.monotonic()
        return self.remaining

    def restore_progress(self) -> None:
        """Restore, once, how far the run has come, and `checkpoint_dir`; `resume` does it, too."""
        if self._stage != "new" or self.folder is None:
            return
        self._stage = "started"
        try:
            self._saved = saved = read_saved_run(self.folder)
        except DamagedFileError as error:
            self.notes.append(f"{error}; the training starts again from its first report")
            return
        if saved is None:
            return
        progress = saved.progress
        self.done, self.seconds = progress.report, progress.seconds
        self.score, self.best_report = progress.score, progress.best_report
        self.history = saved.history
        self._outputs.keep(self.folder / "best")
        self._extent = continue_history(self.folder, saved)
        if files := saved.tree["parts"].pop(FRAMEWORK, None):
            self.parts[FRAMEWORK] = create_folder(self.folder)
            self.parts[FRAMEWORK].load(files)

    @property
    def checkpoint_dir(self) -> Path:
        """Return the folder for the checkpoints of a framework.

        What it holds at a report is saved with it; a run that is resumed finds that again.
        """
        self.restore_progress()
        if FRAMEWORK not in self.parts:
            self.parts[FRAMEWORK] = create_folder(self.folder)
        path: Path = self.parts[FRAMEWORK].path
        return path

    def keep_predictions(self, **predictions: Predictions) -> None:
        """Register functions that predict a split, by the split's name.

        They are called once, after the last report of the trial, on its best weights; without a
        model among the parts of `resume`, at every report that is the best so far.
        """
        self._outputs.add_predictions(predictions, self.expected)

    def add_artifact(self, name: str, write: Callable[[Path], None]) -> None:
        """Register a file (.md, .png or .gif) that the report shows of the best trial.

        `write` is called once with its path, after the last report of the trial, on its best
        weights; without a file there the trial fails. It must not use targets of the test set.
        """
        self._outputs.add_artifact(name, write)

    def out_of_patience(self, patience: int) -> bool:
        """Return whether the score has not improved for `patience` reports (0: never)."""
        return 0 < patience <= self.done - self.best_report

    def report(self, metrics: Mapping[str, Any]) -> None:
        """Make one report of a task that is a plain function: a generator yields it instead.

        Raises TrialStopped where the trial ends here, which the function must not catch.
        """
        caller = sys._getframe(1)
        self._caller = f" ({caller.f_code.co_filename}, line {caller.f_lineno})"
        (self.hand_over or self.record)(metrics)

    def record(self, metrics: Mapping[str, Any], loop: Any = None) -> dict[str, float]:
        """Record one report, save `last/` and, if it is the best so far, `best/`.

        Returns its metrics as floats. A report whose searched metric is not finite sets
        `diverged`, and is not saved. `loop` is the generator that yielded it. Raises TaskError
        for what is no report.
        """
        numbers = read_metrics(metrics, self.metric, self._caller or find_yield(loop))
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
        elif self.folder is not None and is_best:
            self._outputs.rewrite(self.folder / "best")
        return numbers

    def _save(self, folder: Path, is_best: bool) -> None:
        tree = checkpoint.capture(self.parts, folder / DRAFT)
        self._extent = append_to_history(folder, self.history[-1], self._extent)
        if is_best:
            manifest = {"report": self.done, "score": self.score}
            weights = checkpoint.select_inference_state(tree, self.parts)
            checkpoint.write(folder / "best", manifest, weights)
            if not holds_weights(self.parts):
                self._outputs.rewrite(folder / "best")
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
            tree = checkpoint.capture(self.parts, self.folder / DRAFT)
            tree["partial"] = partial
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
                "the task ended without a single report\n"
                "yield the metrics, or call run.report, at least once"
            )
        if self.folder is None or not self.best_report:
            return
        best = self.folder / "best"
        if not holds_weights(self.parts):
            self._outputs.accept_kept(self.best_report, self.done)
        elif self._outputs.missing and self.best_report != self.done:
            restore_best(best, self.parts)
        self._outputs.write(best)
        for name in (WORKING, DRAFT):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def _progress(self) -> Progress:
        return Progress(self.done, self.seconds, self.score, self.best_report, self._extent)
