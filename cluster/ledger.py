"""The ledger: a search's folder, the one source of truth for what became of every trial.

`search.json` holds the settings; `trials/NNN/reports.jsonl` the whole story of a trial, a line
per event, appended by the driver before anything else hears of it. Knows no Ray, Optuna, MLflow.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import filelock

from trainables.errors import UserError
from trainables.run import Mode, attempt_folder, better

KEPT = 10
"""So many best trials of a search keep their weights."""

Outcome = Literal["complete", "stopped", "diverged", "failed"]


@dataclass(frozen=True)
class Report:
    """One report of a trial; `time` is seconds since 1970, `seconds` device time so far."""

    report: int
    time: float
    seconds: float
    metrics: Mapping[str, float]


@dataclass
class Story:
    """Everything that is known of one trial, as its file tells it."""

    trial: int
    values: dict[str, Any]
    config: dict[str, Any]
    started: float
    attempts: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    reason: str = ""
    ended: float = 0.0

    @property
    def done(self) -> int:
        """Give how many reports were heard."""
        return self.reports[-1].report if self.reports else 0

    @property
    def seconds(self) -> float:
        """Give the device seconds that the heard reports took."""
        return self.reports[-1].seconds if self.reports else 0.0

    def best(self, metric: str, mode: Mode) -> tuple[float, int] | None:
        """Give the best score and its report; None before a finite one."""
        found: tuple[float, int] | None = None
        for report in self.reports:
            score = report.metrics.get(metric)
            if score is None or score != score or abs(score) == float("inf"):
                continue
            if better(score, found[0] if found else None, mode):
                found = (score, report.report)
        return found


class Ledger:
    """A search's folder, open for one driver; use `create` or `reopen`."""

    def __init__(self, folder: Path, settings: Mapping[str, Any], lock: filelock.FileLock) -> None:
        self.folder = folder
        self.settings = dict(settings)
        self.lock = lock
        self.metric: str = self.settings["metric"]
        self.mode: Mode = self.settings["mode"]
        self.stories: dict[int, Story] = {}
        self.kept: list[Story] = []
        for path in sorted(folder.glob("trials/*/reports.jsonl")):
            story = _read_story(path)
            if story is not None:
                self.stories[story.trial] = story
        for trial in self.stories:
            self.settle(trial)

    @property
    def id(self) -> str:
        """Give the search's unique name, under which MLflow knows it."""
        return str(self.settings["id"])

    def begin(self, trial: int, values: Mapping[str, Any], config: Mapping[str, Any]) -> Story:
        """Write down a new trial."""
        story = Story(trial, dict(values), dict(config), time.time())
        path = self.folder / "trials" / f"{trial:03d}"
        path.mkdir(parents=True, exist_ok=True)
        self.stories[trial] = story
        self._append(
            trial,
            {
                "trial": trial,
                "values": story.values,
                "config": story.config,
                "time": story.started,
            },
        )
        return story

    def attempt(self, trial: int) -> int:
        """Write down that another attempt starts, and give its number, from 1."""
        story = self.stories[trial]
        story.attempts += 1
        self._append(trial, {"attempt": story.attempts, "time": time.time()})
        return story.attempts

    def hear(self, trial: int, history: list[dict[str, Any]], facts: Mapping[str, float]) -> bool:
        """Write down the reports that are new; one heard before, or after the end, is not.

        Gives whether there was a new one.
        """
        story = self.stories[trial]
        if story.outcome is not None:
            return False
        fresh = [entry for entry in history if entry["report"] > story.done]
        now = time.time()
        if facts and not story.facts:
            story.facts = dict(facts)
            self._append(trial, {"facts": story.facts})
        for entry in fresh:
            self._append(trial, {**entry, "time": now})
            story.reports.append(
                Report(entry["report"], now, entry["seconds"], dict(entry["metrics"]))
            )
        return bool(fresh)

    def error(self, trial: int, kind: str, text: str) -> None:
        """Write down why an attempt failed: kind `failed`, `memory` or `lost`."""
        entry = {"error": text, "kind": kind, "attempt": self.stories[trial].attempts}
        self.stories[trial].errors.append(entry)
        self._append(trial, {**entry, "time": time.time()})

    def end(self, trial: int, outcome: Outcome, reason: str = "") -> None:
        """Write down what became of a trial; said once, it stays."""
        story = self.stories[trial]
        if story.outcome is None:
            story.outcome, story.reason, story.ended = outcome, reason, time.time()
            event = {"outcome": outcome, "reason": reason, "time": story.ended}
            self._append(trial, event)

    def newest_attempt(self, trial: int) -> Path:
        """Give the folder of a trial's last attempt."""
        return attempt_folder(self.folder, trial, self.stories[trial].attempts)

    def settle(self, trial: int) -> None:
        """Drop an ended trial's files that nobody needs: all but the best few lose their weights.

        Predictions stay, for ensembles; a diverged or failed trial keeps its story alone.
        """
        story = self.stories[trial]
        if story.outcome in ("diverged", "failed"):
            for attempt in (self.folder / "trials" / f"{trial:03d}").glob("attempt-*"):
                shutil.rmtree(attempt, ignore_errors=True)
        elif story.outcome:
            _tidy(self.newest_attempt(trial), weights=True)
            kept = self.rank([*self.kept, story])
            self.kept = kept[:KEPT]
            for dropped in {story.trial, *(s.trial for s in kept)} - {s.trial for s in self.kept}:
                _tidy(self.newest_attempt(dropped), weights=False)

    def rank(self, stories: Iterable[Story]) -> list[Story]:
        """Give the complete and stopped trials that have a score, best first."""
        scored = [
            (-found[0] if self.mode == "max" else found[0], story.trial, story)
            for story in stories
            if story.outcome in ("complete", "stopped") and (found := self.best(story))
        ]
        return [story for *_, story in sorted(scored, key=lambda entry: entry[:2])]

    def best(self, story: Story) -> tuple[float, int] | None:
        """Give a trial's best score and its report; None before a finite one."""
        return story.best(self.metric, self.mode)

    def close(self) -> None:
        """Let another driver have the search."""
        self.lock.release()

    def _append(self, trial: int, event: Mapping[str, Any]) -> None:
        path = self.folder / "trials" / f"{trial:03d}" / "reports.jsonl"
        line = (json.dumps(event) + "\n").encode()
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, line)
            if written < len(line):  # a disk that filled up half-way through the line
                os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
                raise OSError(28, "No space left on device", str(path))
        finally:
            os.close(descriptor)


def create(storage: Path, name: str, settings: Mapping[str, Any]) -> Ledger:
    """Begin a new search in the next free folder `name`, `name-2`, ...; takes its lock."""
    number = max((n for n, _ in _searches(storage, name)), default=0) + 1
    folder = storage / (name if number == 1 else f"{name}-{number}")
    folder.mkdir(parents=True)
    lock = _take(folder)
    settings = {**settings, "id": f"{folder.name}-{uuid.uuid4().hex[:8]}"}
    write_settings(folder, settings)
    return Ledger(folder, settings, lock)


def reopen(folder: Path) -> Ledger:
    """Open an existing search; raises UserError where another driver has it."""
    lock = _take(folder)
    return Ledger(folder, read_settings(folder), lock)


def newest(storage: Path, name: str) -> Path | None:
    """Find the newest search of a space in the storage folder."""
    found = [(n, path) for n, path in _searches(storage, name) if (path / "search.json").exists()]
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


def cut_last_line(path: Path) -> None:
    """Cut a last line without its end off a file: its writer was killed."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)


def _searches(storage: Path, name: str) -> Iterator[tuple[int, Path]]:
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?")
    for path in storage.glob(f"{name}*"):
        match = pattern.fullmatch(path.name)
        if match and path.is_dir():
            yield int(match[1] or 1), path


def _take(folder: Path) -> filelock.FileLock:
    lock = filelock.FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UserError(
            f"another process is running the search in {folder}\n"
            "wait for it, or start another search beside it with --storage"
        ) from None
    return lock


def _read_story(path: Path) -> Story | None:
    cut_last_line(path)
    story: Story | None = None
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            event = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is damaged: {error}") from error
        if "trial" in event:
            story = Story(event["trial"], event["values"], event["config"], event["time"])
        elif story is None:
            raise UserError(f"{path} does not begin with its trial: {line[:80]!r}")
        elif "error" in event:
            story.errors.append(event)
        elif "attempt" in event:
            story.attempts = event["attempt"]
        elif "report" in event:
            story.reports.append(
                Report(event["report"], event["time"], event["seconds"], event["metrics"])
            )
        elif "facts" in event:
            story.facts = event["facts"]
        elif "outcome" in event:
            story.outcome, story.reason = event["outcome"], event["reason"]
            story.ended = event["time"]
    return story


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
