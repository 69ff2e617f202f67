"""The arithmetic of a report: intervals, smoothing, ranking. Pure functions of numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter
from scipy.stats import binomtest

T = TypeVar("T")

# SQL databases hold no infinity: MLflow stores it as the largest double of either sign.
LARGEST = 1e300
SMOOTHED_FROM = 7  # reports; a shorter curve would be redrawn rather than smoothed


@dataclass(frozen=True)
class Proportion:
    """So many of n, with the ends of its interval as fractions."""

    correct: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        return self.correct / self.n


def wilson(correct: int, n: int, confidence: float = 0.95) -> Proportion:
    """Wilson's score interval (1927) of a proportion; it stays inside [0, 1] at 0 and n of n."""
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is no proportion")
    interval = binomtest(correct, n).proportion_ci(confidence, method="wilson")
    return Proportion(correct, n, float(interval.low), float(interval.high))


def count_correct(
    ids: NDArray[np.int64],
    probabilities: NDArray[np.float64],
    target_ids: NDArray[np.int64],
    targets: NDArray[np.int64],
) -> int:
    """How many examples have their target as the most probable class, joined by id.

    ids (n,), probabilities (n, classes), target_ids (n,), targets (n,).
    Raises ValueError where the ids differ or repeat, or a probability is not finite.
    """
    order, target_order = np.argsort(ids), np.argsort(target_ids)
    if len(np.unique(ids)) != len(ids) or len(np.unique(target_ids)) != len(target_ids):
        raise ValueError("an id occurs more than once")
    if not np.array_equal(ids[order], target_ids[target_order]):
        missing = len(np.setdiff1d(target_ids, ids))
        unknown = len(np.setdiff1d(ids, target_ids))
        raise ValueError(
            f"ids do not match: {missing} of {len(target_ids)} examples lack a prediction, "
            f"{unknown} predictions belong to no example"
        )
    if not np.isfinite(probabilities).all():
        raise ValueError("a probability is not finite")
    return int((probabilities.argmax(axis=1)[order] == targets[target_order]).sum())


def finite(value: float | None) -> bool:
    """Whether this is a number one can rank or draw."""
    return value is not None and math.isfinite(value) and abs(value) < LARGEST


def ranked(items: Iterable[T], score: Callable[[T], float], mode: str) -> list[T]:
    """Best first; among equals the earlier stays first."""
    sign = -1.0 if mode == "max" else 1.0
    return sorted(items, key=lambda item: sign * score(item))


def thinned(items: Sequence[T], limit: int) -> list[T]:
    """At most `limit` items of a ranking: its better half of them in full, the rest evenly."""
    if len(items) <= limit:
        return list(items)
    head = limit // 2
    rest = np.linspace(head, len(items) - 1, limit - head).round().astype(int)
    return [*items[:head], *(items[i] for i in rest)]


def smoothed(values: Sequence[float]) -> NDArray[np.float64] | None:
    """Savitzky and Golay's (1964) least-squares quadratic in a window of a quarter of the curve.

    None where the curve is too short to smooth.
    """
    n = len(values)
    if n < SMOOTHED_FROM:
        return None
    window = max(5, n // 4 | 1)  # odd, and wider than the quadratic has coefficients
    result: NDArray[np.float64] = savgol_filter(np.asarray(values, dtype=float), window, 2)
    return result
