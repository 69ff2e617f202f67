"""Which trial is best, and which report of it: for the worker, the driver and the report alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, TypeVar

Metrics = Mapping[str, float]
Mode = Literal["min", "max"]
T = TypeVar("T")


def is_better(score: float, than: float | None, mode: Mode) -> bool:
    """Return whether a score is strictly better than another (None: than nothing)."""
    if than is None:
        return True
    return score > than if mode == "max" else score < than


def describe_divergence(metrics: Metrics, metric: str, report: int) -> str:
    """Return why a trial diverged at a report, "" where it did not.

    The searched metric alone decides; any other may be undefined.
    """
    value = metrics.get(metric, 0.0)
    return "" if math.isfinite(value) else f"{metric} is {value} at report {report}"


def is_finite(metrics: Metrics) -> bool:
    """Return whether every metric is a finite number."""
    return all(map(math.isfinite, metrics.values()))


def mark_divergence(metrics: Metrics, metric: str) -> dict[str, float]:
    """Return the metrics of a report, the searched one NaN where any of them is not finite.

    For tasks in which a training loss that is not finite means that the model is of no use,
    whatever its score is.
    """
    keep = is_finite(metrics) or not metric
    return dict(metrics) if keep else {**metrics, metric: math.nan}


def best_report(
    reports: Iterable[tuple[int, Metrics]], metric: str, mode: Mode
) -> tuple[float, int] | None:
    """Return the best score of a trial and the number of the first report that has it.

    Reports in which the metric is missing or not finite do not count. None where no report
    counts.
    """
    best: tuple[float, int] | None = None
    for number, metrics in reports:
        score = metrics.get(metric, math.nan)
        if math.isfinite(score) and is_better(score, best[0] if best else None, mode):
            best = (score, number)
    return best


def find_worst(scores: Iterable[float | None], mode: Mode) -> float:
    """Return the worst of the scores of runs, NaN where none is finite.

    A run that was lost counts as this one where means over runs are compared.
    """
    known = [score for score in scores if score is not None and math.isfinite(score)]
    return (min if mode == "max" else max)(known, default=math.nan)


def rank_trials(
    trials: Iterable[T],
    mode: Mode,
    *,
    outcome: Callable[[T], str | None],
    score: Callable[[T], float | None],
    number: Callable[[T], int],
) -> list[T]:
    """Return the trials that may win, best first: the complete ones, then those stopped early.

    A trial that diverged, failed or has not ended never wins. Equal scores are in the order of
    the trials' numbers.
    """
    sign = -1 if mode == "max" else 1
    ranked = [
        ((outcome(trial) == "stopped", sign * found, number(trial)), trial)
        for trial in trials
        if outcome(trial) in ("complete", "stopped")
        and (found := score(trial)) is not None
        and math.isfinite(found)
    ]
    return [trial for _, trial in sorted(ranked, key=lambda entry: entry[0])]
