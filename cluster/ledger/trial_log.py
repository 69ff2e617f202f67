"""The log of a trial: a file of events, a line each, and the state they add up to.

The same function applies an event when it happens and when the file is read again.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.errors import UserError
from trainables.ranking import Mode, best_report

Outcome = Literal["complete", "stopped", "diverged", "failed"]
FailureClass = Literal[
    "failed", "out_of_memory", "lost", "preempted", "storage_unreachable", "storage_full"
]
"""`failed` and `out_of_memory` count against a trial's retries; `lost` and `preempted` do not;
the two of the storage end the search, to be resumed."""
UNCOUNTED: tuple[FailureClass, ...] = ("lost", "preempted")
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """One failed attempt: its class, the error in one line, and the whole traceback."""

    failure_class: FailureClass
    message: str
    traceback: str


@dataclass(frozen=True)
class Report:
    """One report of a trial; `time` is seconds since 1970, `seconds` device time so far."""

    report: int
    time: float
    seconds: float
    metrics: Mapping[str, float]


@dataclass
class TrialLog:
    """Everything that is known of one trial.

    `parameters` are what the sampler has drawn, `config` is the whole configuration, both as JSON.
    `tags` become tags of the MLflow run. `spans` has the start, the last event and the place of
    every attempt.
    """

    trial: int
    parameters: dict[str, Any]
    config: dict[str, Any]
    started: float
    tags: dict[str, str] = field(default_factory=dict)
    attempts: int = 0
    spans: list[tuple[float, float, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    reports: list[Report] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    outcome: Outcome | None = None
    reason: str = ""
    ended: float = 0.0

    @property
    def done(self) -> int:
        """Return the number of recorded reports."""
        return self.reports[-1].report if self.reports else 0

    @property
    def seconds(self) -> float:
        """Return the device seconds of the recorded reports."""
        return self.reports[-1].seconds if self.reports else 0.0

    def find_best_report(self, metric: str, mode: Mode) -> tuple[float, int] | None:
        """Return the best score and its report; None before a finite one."""
        reports = ((report.report, report.metrics) for report in self.reports)
        return best_report(reports, metric, mode)


def apply_event(trial_log: TrialLog | None, event: Event) -> TrialLog:
    """Apply an event to a trial log; raises ValueError, TypeError or KeyError for any other."""
    if "trial" in event:
        if trial_log is not None:
            raise ValueError(f"trial {trial_log.trial} starts a second time")
        return TrialLog(
            event["trial"],
            dict(event["parameters"]),
            dict(event["config"]),
            event["time"],
            dict(event.get("tags", {})),
        )
    if trial_log is None:
        raise ValueError("the file does not start with its trial")
    if trial_log.spans and "attempt" not in event:
        start, last, place = trial_log.spans[-1]
        trial_log.spans[-1] = (start, event.get("time", last), event.get("place", place))
    if "failure" in event:
        trial_log.failures.append(Failure(**event["failure"]))
    elif "attempt" in event:
        trial_log.attempts = event["attempt"]
        trial_log.spans.append((event["time"], event["time"], ""))
    elif "report" in event:
        trial_log.reports.append(
            Report(event["report"], event["time"], event["seconds"], event["metrics"])
        )
    elif "facts" in event:
        trial_log.facts = dict(event["facts"])
    elif "place" not in event:
        # The outcome is set last: another thread that sees it sees everything else, too.
        trial_log.reason, trial_log.ended = event["reason"], event["time"]
        trial_log.outcome = event["outcome"]
    return trial_log


def read_trial_log(path: Path) -> TrialLog | None:
    """Read a trial log; None for an empty file. Raises UserError for a damaged one."""
    truncate_partial_line(path)
    trial_log: TrialLog | None = None
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        try:
            trial_log = apply_event(trial_log, json.loads(line))
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path}, line {number} is damaged: {line[:80]!r} ({error!r})\n"
                "restore the file, or start a new search with --fresh"
            ) from error
    return trial_log


def append_event(path: Path, event: Event) -> None:
    """Append an event, completely or not at all; raises OSError."""
    line = (json.dumps(event) + "\n").encode()
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(descriptor, line)
        if written < len(line):  # a disk that filled up half-way through the line
            os.ftruncate(descriptor, os.fstat(descriptor).st_size - written)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
    finally:
        os.close(descriptor)


def truncate_partial_line(path: Path) -> None:
    """Cut off a last line without its end: its writer was killed."""
    if not path.exists():
        return
    data = path.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        os.truncate(path, whole)
