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


def is_finite(metrics: Metrics) -> bool:
    """Return whether every metric is a finite number."""
    return all(math.isfinite(value) for value in metrics.values())


def best_report(
    reports: Iterable[tuple[int, Metrics]], metric: str, mode: Mode
) -> tuple[float, int] | None:
    """Return the best score of a trial and the number of the first report that has it.

    Reports without the metric, or with any metric that is not finite, do not count. None where
    no report counts.
    """
    best: tuple[float, int] | None = None
    for number, metrics in reports:
        if metric not in metrics or not is_finite(metrics):
            continue
        if is_better(metrics[metric], best[0] if best else None, mode):
            best = (metrics[metric], number)
    return best


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
