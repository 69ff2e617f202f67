"""What MLflow is to hear of a story, in its words but without it: parameters, tags and points."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Outcome, Report, Story

STATUS: Mapping[Outcome, str] = {
    "complete": "FINISHED",
    "stopped": "KILLED",
    "diverged": "FAILED",
    "failed": "FAILED",
}
SECONDS = "device_seconds"
LONGEST = 6000
"""MLflow cuts the value of a parameter to so many characters."""

Point = tuple[str, float, int, int]
"""Key, value, milliseconds since 1970, step."""


@dataclass
class Had:
    """What a run in MLflow has: its start in milliseconds, its device seconds by report.

    `metrics` are the last value of each.
    """

    run_id: str
    started: int
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    seconds: dict[int, float]


def milliseconds(seconds: float) -> int:
    """Give a time as MLflow counts it."""
    return int(seconds * 1000)


def parameters(story: Story) -> dict[str, str]:
    """Give a trial's configuration: lists read back as JSON, plain values as people write them."""
    return {key: _text(value)[:LONGEST] for key, value in story.config.items()}


def whole(story: Story | None, ended: int | None, params: Mapping[str, str]) -> bool:
    """Tell whether a run that `ended` then has all of the story: its end is written last."""
    return (
        story is not None
        and story.outcome is not None
        and ended == milliseconds(story.ended)
        and params == parameters(story)
    )


def contradicts(had: Had, story: Story, reports: Iterable[Report], ended: bool) -> bool:
    """Tell whether a run says what the story does not: the ledger was lost, and told otherwise.

    What a trial that has not `ended` is yet to say again is no contradiction.
    """
    own = {report.report: report.seconds for report in reports}
    return (
        had.started != milliseconds(story.started)
        or not had.params.items() <= parameters(story).items()
        or any(
            (ended or report in own) and own.get(report) != seconds
            for report, seconds in had.seconds.items()
        )
    )


def points(had: Had, reports: Iterable[Report]) -> list[Point]:
    """Give the points of the reports that a run lacks; device seconds come last in each."""
    return [
        (key, value, milliseconds(report.time), report.report)
        for report in reports
        if report.report not in had.seconds
        for key, value in {**report.metrics, SECONDS: report.seconds}.items()
    ]


def last_points(had: Had, ledger: Ledger, story: Story) -> list[Point]:
    """Give what an ended trial adds up to, where a run lacks it; these points have step 0."""
    best = ledger.best(story)
    values = dict(story.facts)
    if best is not None:
        values |= {"score": best[0], "best_report": float(best[1])}
    now = milliseconds(story.ended)
    return [(key, value, now, 0) for key, value in values.items() if had.metrics.get(key) != value]


def tags(story: Story, outcome: Outcome | None) -> dict[str, str]:
    """Give the tags that change while a trial runs, and those of its outcome."""
    found = {"attempts": str(story.attempts), "spans": json.dumps(story.spans)}
    if outcome is not None:
        found |= {"outcome": outcome, "reason": story.reason}
    if outcome == "failed":
        found["error"] = story.failures[-1].traceback[-4000:]
    return found


def counts(ledger: Ledger, infeasible: int) -> list[Point]:
    """Count the outcomes of a search, as points of its parent run."""
    found: dict[str, int] = dict.fromkeys(STATUS, 0)
    for story in ledger.stories.values():
        if story.outcome is not None:
            found[story.outcome] += 1
    found["infeasible"] = infeasible
    found["retried"] = sum(len(story.failures) > 0 for story in ledger.stories.values())
    now = milliseconds(time.time())
    return [(key, float(value), now, 0) for key, value in found.items()]


def _text(value: Any) -> str:
    return json.dumps(value) if isinstance(value, list | tuple | dict) else str(value)
