"""What MLflow is told about a trial: parameters, tags and metric points, without MLflow itself."""

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
LONGEST = 6000
"""MLflow cuts the value of a parameter to so many characters."""

Point = tuple[str, float, int, int]
"""Key, value, milliseconds since 1970, step."""


@dataclass
class LoggedRun:
    """What a run in MLflow has: its start in milliseconds, its device seconds by report.

    `metrics` are the last value of each.
    """

    run_id: str
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: dict[int, float]


def to_milliseconds(seconds: float) -> int:
    """Give a time as MLflow counts it."""
    return int(seconds * 1000)


def parameters(trial_log: TrialLog) -> dict[str, str]:
    """Give a trial's configuration: lists read back as JSON, plain values as people write them."""
    return {key: _text(value)[:LONGEST] for key, value in trial_log.config.items()}


def is_complete(trial_log: TrialLog | None, ended: int | None, params: Mapping[str, str]) -> bool:
    """Tell whether a run that `ended` then has all of the trial_log: its end is written last."""
    return (
        trial_log is not None
        and trial_log.outcome is not None
        and ended == to_milliseconds(trial_log.ended)
        and params == parameters(trial_log)
    )


def contradicts(
    had: LoggedRun, trial_log: TrialLog, reports: Iterable[Report], ended: bool
) -> bool:
    """Tell whether a run has what the trial log has not, as after the loss of a ledger.

    What a trial that has not `ended` is yet to say again is no contradiction.
    """
    own = {report.report: report.seconds for report in reports}
    return (
        had.started != to_milliseconds(trial_log.started)
        or not had.params.items() <= parameters(trial_log).items()
        or any(
            (ended or report in own) and own.get(report) != seconds
            for report, seconds in had.seconds.items()
        )
    )


def report_points(had: LoggedRun, reports: Iterable[Report]) -> list[Point]:
    """Give the points of the reports that a run lacks; device seconds come last in each."""
    return [
        (key, value, to_milliseconds(report.time), report.report)
        for report in reports
        if report.report not in had.seconds
        for key, value in {**report.metrics, DEVICE_SECONDS: report.seconds}.items()
    ]


def final_points(had: LoggedRun, ledger: Ledger, trial_log: TrialLog) -> list[Point]:
    """Give what an ended trial adds up to, where a run lacks it; these points have step 0."""
    best = ledger.best_report(trial_log)
    values = dict(trial_log.facts)
    if best is not None:
        values |= {"score": best[0], "best_report": float(best[1])}
    now = to_milliseconds(trial_log.ended)
    return [(key, value, now, 0) for key, value in values.items() if had.metrics.get(key) != value]


def tags(trial_log: TrialLog, outcome: Outcome | None) -> dict[str, str]:
    """Give the tags that change while a trial runs, and those of its outcome."""
    found = {"attempts": str(trial_log.attempts), "spans": json.dumps(trial_log.spans)}
    if outcome is not None:
        found |= {"outcome": outcome, "reason": trial_log.reason}
    if outcome == "failed":
        found["error"] = trial_log.failures[-1].traceback[-4000:]
    return found


def search_tags(settings: SearchSettings) -> dict[str, str]:
    """Return the tags of a search's parent run: its settings and its provenance."""
    plain = ["space", "metric", "mode", "reports", "trials", "sampler", "scheduler", "enqueued"]
    plain += ["seed"]

    tags = {name: str(getattr(settings, name)) for name in plain}
    tags |= {"rungs": json.dumps(settings.rungs), "fixed": json.dumps(settings.fixed)}
    tags |= {"kind": "search", "search": settings.id, **settings.provenance}
    return {key: value for key, value in tags.items() if value}


def outcome_counts(ledger: Ledger, infeasible: int) -> list[Point]:
    """Count the outcomes of a search, as points of its parent run."""
    found: dict[str, int] = dict.fromkeys(STATUS, 0)
    for trial_log in ledger.trial_logs.values():
        if trial_log.outcome is not None:
            found[trial_log.outcome] += 1
    found["infeasible"] = infeasible
    found["retried"] = sum(len(trial_log.failures) > 0 for trial_log in ledger.trial_logs.values())
    now = to_milliseconds(time.time())
    return [(key, float(value), now, 0) for key, value in found.items()]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)
