"""The ledger: a search's folder, the one source of truth for what became of every trial.

`search.json` holds the settings; `trials/NNN/reports.jsonl` the whole trial_log of a trial, a line
per event, appended by the driver before anything else hears of it. Knows no Ray, Optuna, MLflow.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import filelock

from cluster.ledger import trial_log as trial_logs
from cluster.ledger.trial_log import Failure, Outcome, TrialLog
from trainables.errors import UserError
from trainables.ranking import Mode, rank_trials
from trainables.run import attempt_folder

KEPT_WEIGHTS = 10
"""So many best trials of a search keep their weights."""


class Ledger:
    """A search's folder, open for one driver; use `create` or `reopen`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], lock: filelock.FileLock) -> None:
        self.folder = folder
        self.settings = dict(settings)
        self.lock = lock
        self.metric: str = self.settings["metric"]
        self.mode: Mode = self.settings["mode"]
        self.trial_logs: dict[int, TrialLog] = {}
        self.top_trials: list[TrialLog] = []
        self.fetch: Callable[[int], None] = lambda trial: None
        """Brings here what an ended trial leaves behind, where workers write elsewhere."""
        for path in sorted(folder.glob("trials/*/reports.jsonl")):
            if (trial_log := trial_logs.read_trial_log(path)) is not None:
                self.trial_logs[trial_log.trial] = trial_log
        for trial in self.trial_logs:
            self.prune(trial)

    @property
    def id(self) -> str:
        """Give the search's unique name, under which MLflow knows it."""
        return str(self.settings["id"])

    @property
    def name(self) -> str:
        """Give the name that runs of this ledger begin with."""
        return str(self.settings.get("name", self.folder.name))

    @property
    def finished(self) -> bool:
        """Tell whether every trial asked for has its outcome."""
        ended = [trial_log.outcome is not None for trial_log in self.trial_logs.values()]
        return all(ended) and len(ended) >= int(self.settings["trials"])

    def add_trial(
        self,
        trial: int,
        values: Mapping[str, Any],
        config: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
    ) -> TrialLog:
        """Write down a new trial; raises ValueError for one that is there."""
        if trial in self.trial_logs:
            raise ValueError(f"trial {trial} of {self.folder} has begun already")
        self._file(trial).parent.mkdir(parents=True, exist_ok=True)
        told = {"trial": trial, "values": dict(values), "config": dict(config)}
        return self._say(trial, {**told, **({"tags": dict(tags)} if tags else {})})

    def add_attempt(self, trial: int) -> int:
        """Write down that another attempt starts, and give its number, from 1."""
        return self._say(trial, {"attempt": self.trial_logs[trial].attempts + 1}).attempts

    def record_reports(
        self,
        trial: int,
        history: list[dict[str, Any]],
        facts: Mapping[str, float],
        place: str = "",
    ) -> bool:
        """Write down the reports that are new; one heard before, or after the end, is not.

        `place` is where the attempt runs. Gives whether there was a new report.
        """
        trial_log = self.trial_logs[trial]
        if trial_log.outcome is not None:
            return False
        if facts and not trial_log.facts:
            self._say(trial, {"facts": dict(facts)})
        if place and trial_log.spans and trial_log.spans[-1][2] != place:
            self._say(trial, {"place": place})
        fresh = [entry for entry in history if entry["report"] > trial_log.done]
        for entry in fresh:
            self._say(trial, entry)
        return bool(fresh)

    def record_failure(self, trial: int, failure: Failure) -> None:
        """Write down why an attempt failed."""
        attempts = self.trial_logs[trial].attempts
        self._say(trial, {"failure": asdict(failure), "attempt": attempts})

    def record_outcome(self, trial: int, outcome: Outcome, reason: str = "") -> None:
        """Write down what became of a trial; said once, it stays."""
        if self.trial_logs[trial].outcome is None:
            self._say(trial, {"outcome": outcome, "reason": reason})

    def latest_attempt(self, trial: int) -> Path:
        """Give the folder of a trial's last attempt."""
        return attempt_folder(self.folder, trial, self.trial_logs[trial].attempts)

    def prune(self, trial: int) -> None:
        """Drop an ended trial's files that nobody needs: all but the best few lose their weights.

        Predictions stay, for ensembles; a diverged or failed trial keeps its trial_log alone.
        """
        trial_log = self.trial_logs[trial]
        if trial_log.outcome in ("diverged", "failed"):
            for attempt in (self.folder / "trials" / f"{trial:03d}").glob("attempt-*"):
                shutil.rmtree(attempt, ignore_errors=True)
        elif trial_log.outcome:
            _tidy(self.latest_attempt(trial), weights=True)
            kept = self._with(trial_log)
            self.top_trials = kept[:KEPT_WEIGHTS]
            for dropped in {trial_log.trial, *(s.trial for s in kept)} - {
                s.trial for s in self.top_trials
            }:
                _tidy(self.latest_attempt(dropped), weights=False)

    def keeps_weights(self, trial_log: TrialLog) -> bool:
        """Tell whether an ended trial is one of the best few, whose weights stay."""
        return trial_log.trial in {s.trial for s in self._with(trial_log)[:KEPT_WEIGHTS]}

    def rank_trials(self, trial_logs: Iterable[TrialLog]) -> list[TrialLog]:
        """Give the trials that have a score, best first: the complete, then the stopped.

        So do reports: no stopped trial is the winner while there is a complete one.
        """
        return rank_trials(
            trial_logs,
            self.mode,
            outcome=lambda log: log.outcome,
            score=lambda log: found[0] if (found := self.best_report(log)) else None,
            number=lambda log: log.trial,
        )

    def best_report(self, trial_log: TrialLog) -> tuple[float, int] | None:
        """Give a trial's best score and its report; None before a finite one."""
        return trial_log.find_best_report(self.metric, self.mode)

    def close(self) -> None:
        """Let another driver have the search."""
        self.lock.release()

    def _with(self, trial_log: TrialLog) -> list[TrialLog]:
        return self.rank_trials(
            [*(s for s in self.top_trials if s.trial != trial_log.trial), trial_log]
        )

    def _file(self, trial: int) -> Path:
        return self.folder / "trials" / f"{trial:03d}" / "reports.jsonl"

    def _say(self, trial: int, event: Mapping[str, Any]) -> TrialLog:
        # Written first: what the driver knows of a trial is never more than its file.
        event = {**event, "time": time.time()}
        trial_logs.append_event(self._file(trial), event)
        trial_log = self.trial_logs[trial] = trial_logs.apply_event(
            self.trial_logs.get(trial), event
        )
        return trial_log


def create_ledger(storage: Path, name: str, settings: Mapping[str, Any]) -> Ledger:
    """Begin a new search in the next free folder `name`, `name-2`, ...; takes its lock.

    It is a search for others as soon as its settings are written.
    """
    number = max((n for n, _ in _searches(storage, name)), default=0) + 1
    folder = storage / (name if number == 1 else f"{name}-{number}")
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise UserError(f"another process has just begun the search in {folder}") from None
    lock = acquire_lock(folder)
    own = {"id": f"{folder.name}-{uuid.uuid4().hex[:8]}", "begun": time.time()}
    return Ledger(folder, {**settings, **own}, lock)


def attach_ledger(folder: Path, settings: Mapping[str, Any]) -> Ledger:
    """Open a ledger inside a search's folder, with its id and these settings from now on."""
    folder.mkdir(exist_ok=True)
    lock = acquire_lock(folder)
    write_settings(folder, settings)
    return Ledger(folder, settings, lock)


def reopen_ledger(folder: Path) -> Ledger:
    """Open an existing search; raises UserError where another driver has it."""
    lock = acquire_lock(folder)
    return Ledger(folder, read_settings(folder), lock)


def find_newest(storage: Path, name: str) -> Path | None:
    """Find the newest search of a space in the storage folder."""
    # A space called digits-2 has folders that look like the second search of digits.
    found = [
        (number, path)
        for number, path in _searches(storage, name)
        if (path / "search.json").exists() and read_settings(path).get("space", name) == name
    ]
    return max(found)[1] if found else None


def write_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Replace `search.json` as a whole."""
    part = folder / "search.json.part"
    part.write_text(json.dumps(settings, indent=2), encoding="utf-8")
    part.replace(folder / "search.json")


def read_settings(folder: Path) -> dict[str, Any]:
    """Read `search.json`; raises UserError where it is damaged."""
    path = folder / "search.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: {error}\nstart the search anew with --fresh"
        ) from error


def parse_number(name: str, folder: str) -> int | None:
    """Read the number of a search, from 1, from its folder's name; None where it is no search."""
    match = re.fullmatch(re.escape(name) + r"(?:-(\d+))?", folder)
    return int(match[1] or 1) if match else None


def _searches(storage: Path, name: str) -> Iterator[tuple[int, Path]]:
    for path in storage.glob(f"{name}*"):
        number = parse_number(name, path.name)
        if number is not None and path.is_dir():
            yield number, path


def acquire_lock(folder: Path) -> filelock.FileLock:
    """Lock a search's folder; raises UserError where another driver has it."""
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"another process is running the search in {folder}\n"
            "wait for it, or start another search beside it with --storage"
        ) from None
    return lock


def _tidy(attempt: Path, weights: bool) -> None:
    trial = attempt.parent
    for old in trial.glob("attempt-*"):
        if old != attempt:
            shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(attempt / "last", ignore_errors=True)
    if not weights:
        for path in (attempt / "best").glob("*"):
            if path.suffix != ".parquet":
                path.unlink(missing_ok=True)
