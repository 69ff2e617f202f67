"""What MLflow stores of a trial: parameters, tags and metric points, as plain values."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.ledger.trial_log import Outcome, Report, TrialLog

STATUS: Mapping[Outcome, str] = {
    "complete": "FINISHED",
    "stopped": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}
DEVICE_SECONDS = "device_seconds"
MAX_LENGTH = 6000
"""MLflow cuts the value of a parameter to this number of characters."""

Point = tuple[str, float, int, int]
"""Key, value, milliseconds since 1970, step."""


@dataclass
class LoggedRun:
    """The content of a run in MLflow.

    `started` is in milliseconds, `metrics` has the last value of each, `seconds` the device
    seconds of each report.
    """

    run_id: str
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: dict[int, float]


def to_milliseconds(seconds: float) -> int:
    """Return a time in milliseconds, as MLflow stores it."""
    return int(seconds * 1000)


def run_params(trial_log: TrialLog) -> dict[str, str]:
    """Return a trial's configuration as text: containers as JSON, other values by `str`."""
    return {key: _text(value)[:MAX_LENGTH] for key, value in trial_log.config.items()}


def is_complete(trial_log: TrialLog | None, ended: int | None, params: Mapping[str, str]) -> bool:
    """Return whether a run has all of the trial log: its end time is written last."""
    return (
        trial_log is not None
        and trial_log.outcome is not None
        and ended == to_milliseconds(trial_log.ended)
        and params == run_params(trial_log)
    )


def contradicts(
    logged: LoggedRun, trial_log: TrialLog, reports: Iterable[Report], ended: bool
) -> bool:
    """Return whether a run has reports or values that the trial log lacks, as after its loss.

    Reports that a trial which has not `ended` will make again do not count.
    """
    own = {report.report: report.seconds for report in reports}
    return (
        logged.started != to_milliseconds(trial_log.started)
        or not logged.params.items() <= run_params(trial_log).items()
        or any(
            (ended or report in own) and own.get(report) != seconds
            for report, seconds in logged.seconds.items()
        )
    )


def report_points(logged: LoggedRun, reports: Iterable[Report]) -> list[Point]:
    """Return the points of the reports that a run lacks; device seconds come last in each."""
    return [
        (key, value, to_milliseconds(report.time), report.report)
        for report in reports
        if report.report not in logged.seconds
        for key, value in {**report.metrics, DEVICE_SECONDS: report.seconds}.items()
    ]


def final_points(logged: LoggedRun, ledger: Ledger, trial_log: TrialLog) -> list[Point]:
    """Return the totals of an ended trial that a run lacks, as points with step 0."""
    best = ledger.best_report(trial_log)
    values = dict(trial_log.facts)
    if best is not None:
        values |= {"score": best[0], "best_report": float(best[1])}
    now = to_milliseconds(trial_log.ended)
    return [
        (key, value, now, 0) for key, value in values.items() if logged.metrics.get(key) != value
    ]


def trial_tags(trial_log: TrialLog, outcome: Outcome | None) -> dict[str, str]:
    """Return the tags that change while a trial runs, and those of its outcome."""
    tags = {"attempts": str(trial_log.attempts), "spans": json.dumps(trial_log.spans)}
    if outcome is not None:
        tags |= {"outcome": outcome, "reason": trial_log.reason}
    if outcome == "failed":
        tags["error"] = trial_log.failures[-1].traceback[-4000:]
        tags["failure_class"] = trial_log.failures[-1].failure_class
    return tags


def search_tags(settings: SearchSettings) -> dict[str, str]:
    """Return the tags of a search's parent run: its settings and its provenance."""
    plain = ["space", "metric", "mode", "reports", "trials", "sampler", "scheduler", "enqueued"]
    plain.append("seed")
    tags = {name: str(getattr(settings, name)) for name in plain}
    tags |= {"rungs": json.dumps(settings.rungs), "fixed": json.dumps(settings.fixed)}
    tags |= {"kind": "search", "search": settings.id, **settings.provenance}
    return {key: value for key, value in tags.items() if value}


def outcome_counts(ledger: Ledger, infeasible: int) -> list[Point]:
    """Return the number of trials per outcome, as points of the parent run."""
    counts: dict[str, int] = dict.fromkeys(STATUS, 0)
    for trial_log in ledger.trial_logs.values():
        if trial_log.outcome is not None:
            counts[trial_log.outcome] += 1
    counts["infeasible"] = infeasible
    counts["retried"] = sum(
        len(trial_log.failures) > 0 for trial_log in ledger.trial_logs.values()
    )
    now = to_milliseconds(time.time())
    return [(key, float(value), now, 0) for key, value in counts.items()]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)
