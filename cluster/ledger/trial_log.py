"""The log of a trial: a file of events, a line each, and the state they add up to.

The same function applies an event when it happens and when the file is read again. Every line has
a checksum.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from trainables.errors import DamagedFileError, UserError
from trainables.integrity import KEY, decode_json, encode_json
from trainables.ranking import Mode, best_report, is_better, rank_trials

Outcome = Literal["complete", "stopped", "diverged", "failed"]
FailureClass = Literal[
    "failed",
    "timeout",
    "task_error",
    "out_of_memory",
    "lost",
    "preempted",
    "storage_unreachable",
    "storage_full",
]
"""`failed`, `timeout` and `out_of_memory` count against a trial's retries, but not `lost` and
`preempted`. `task_error` is never retried; the two of the storage end the search for a resume."""
UNCOUNTED: tuple[FailureClass, ...] = ("lost", "preempted")
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """One failed attempt: its class, the error in one line, and the whole traceback.

    `output` is the end of what its task has printed.
    """

    failure_class: FailureClass
    message: str
    traceback: str
    output: str = ""


@dataclass(frozen=True)
class Report:
    """One report of a trial; `time` is seconds since 1970, `seconds` device time so far.

    `usage` is what the trial has used of its machine since the report before, by MLflow's names;
    empty for a short report.
    """

    report: int
    time: float
    seconds: float
    metrics: Mapping[str, float]
    usage: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Decision:
    """A decision of early stopping on a trial, as it was made at a report.

    `cutoff` is what the score was compared with, None where there was nothing yet. With `stops`
    the trial ends, but for one of the control group, which would have ended. A trial that was
    paused and goes on has a second decision at the same report, which replaces the first.
    """

    report: int
    score: float
    cutoff: float | None
    stops: bool


@dataclass
class TrialLog:
    """Everything that is known of one trial.

    `parameters` are what the sampler has drawn, `config` is the whole configuration, both as JSON.
    `tags` become tags of the MLflow run. `spans` has the start, the last event and the place of
    every attempt. `notes` are about damaged files.
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
    decisions: list[Decision] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    outcome: Outcome | None = None
    reason: str = ""
    ended: float = 0.0
    _best: dict[tuple[str, Mode], tuple[int, tuple[float, int] | None]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def done(self) -> int:
        """Return the number of recorded reports."""
        return self.reports[-1].report if self.reports else 0

    @property
    def last(self) -> float:
        """Return the time of the latest event."""
        return max(self.started, self.ended, *(end for _, end, _ in self.spans))

    @property
    def seconds(self) -> float:
        """Return the device seconds of the recorded reports."""
        return self.reports[-1].seconds if self.reports else 0.0

    def find_best_report(self, metric: str, mode: Mode) -> tuple[float, int] | None:
        """Return the best score and its report; None before a finite one.

        Looks at the reports since the last call only.
        """
        count, best = self._best.get((metric, mode), (0, None))
        new = self.reports[count:]
        found = best_report(((report.report, report.metrics) for report in new), metric, mode)
        if found is not None and is_better(found[0], best[0] if best else None, mode):
            best = found
        self._best[metric, mode] = (count + len(new), best)
        return best


def rank_trial_logs(trial_logs: Iterable[TrialLog], metric: str, mode: Mode) -> list[TrialLog]:
    """Return the trials that may win, best first, as reports do."""

    def find_score(log: TrialLog) -> float | None:
        best = log.find_best_report(metric, mode)
        return best[0] if best else None

    return rank_trials(
        trial_logs,
        mode,
        outcome=lambda log: log.outcome,
        score=find_score,
        number=lambda log: log.trial,
    )


def apply_event(trial_log: TrialLog | None, event: Event) -> TrialLog:
    """Apply an event to a trial log; raises ValueError, TypeError or KeyError for any other."""
    if "trial" in event:
        if trial_log is not None:
            raise ValueError(f"trial {trial_log.trial} starts a second time")
        return TrialLog(
            event["trial"],
            dict(event["parameters"] if "parameters" in event else event["values"]),  # older
            dict(event["config"]),
            event["time"],
            dict(event.get("tags", {})),
        )
    if trial_log is None:
        raise ValueError("the file does not start with its trial")
    if trial_log.spans and "attempt" not in event and trial_log.outcome is None:
        start, last, place = trial_log.spans[-1]
        trial_log.spans[-1] = (start, event.get("time", last), event.get("place", place))
    if "failure" in event:
        trial_log.failures.append(Failure(**event["failure"]))
    elif "attempt" in event:
        trial_log.attempts = event["attempt"]
        trial_log.spans.append((event["time"], event["time"], ""))
    elif "decision" in event:
        decision = Decision(**event["decision"])
        earlier = [known for known in trial_log.decisions if known.report != decision.report]
        trial_log.decisions = [*earlier, decision]
    elif "report" in event:
        trial_log.reports.append(
            Report(
                event["report"],
                event["time"],
                event["seconds"],
                event["metrics"],
                event.get("usage", {}),
            )
        )
    elif "facts" in event:
        trial_log.facts = dict(event["facts"])
    elif "note" in event:
        trial_log.notes.append(event["note"])
    elif "place" not in event:
        # The outcome is set last: another thread that sees it sees everything else, too.
        trial_log.reason, trial_log.ended = event["reason"], event["time"]
        trial_log.outcome = event["outcome"]
    return trial_log


def read_trial_log(path: Path, repair: bool = False) -> TrialLog | None:
    """Read a trial log; None for an empty file.

    A last line without its end is ignored: its writer was killed, or is still writing. With
    `repair`, which needs the lock of the search, it is cut off.

    Raises DamagedFileError, or UserError for intact events of another version.
    """
    if repair:
        truncate_partial_line(path)
    data = path.read_bytes()
    trial_log: TrialLog | None = None
    for number, line in enumerate(data[: data.rfind(b"\n") + 1].splitlines(), 1):
        try:
            event = decode_json(line)
            report, done = event.get("report"), trial_log.done if trial_log else 0
            if report is not None and report != done + 1:
                raise ValueError(f"report {report} follows report {done}")
            trial_log = apply_event(trial_log, event)
        except (ValueError, TypeError, KeyError) as error:
            if isinstance(error, KeyError | TypeError) and f'"{KEY}"'.encode() in line:
                raise UserError(
                    f"{path}, line {number} was written by another version of Tunery: "
                    f"{line[:80]!r}\nuse that version"
                ) from error
            # Not its repr, which for a UnicodeDecodeError has the whole line.
            why = f"{type(error).__name__}: {error}"
            raise DamagedFileError(
                f"{path}, line {number} is damaged: {line[:80]!r} ({why})"
            ) from error
    return trial_log


def append_event(path: Path, event: Event) -> None:
    """Append an event, completely or not at all; raises OSError."""
    line = (encode_json(event) + "\n").encode()
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
