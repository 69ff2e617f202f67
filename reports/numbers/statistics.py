"""Intervals, smoothing and ranking: pure functions of numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

T = TypeVar("T")

# SQL databases hold no infinity: MLflow stores it as the largest double of either sign.
LARGEST = 1e300
SMOOTHED_FROM = 20  # reports; smoothing a shorter curve would miss its own points


@dataclass(frozen=True)
class Proportion:
    """A proportion of n examples, with the ends of its interval as fractions."""

    correct: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """Return the proportion itself."""
        return self.correct / self.n


def wilson_interval(correct: int, n: int, confidence: float = 0.95) -> Proportion:
    """Return a proportion with Wilson's score interval (1927), which stays inside [0, 1]."""
    if not 0 <= correct <= n or n == 0:
        raise ValueError(f"{correct} of {n} is not a proportion")
    # Not scipy.stats or statsmodels, whose imports take one and two seconds of CPU.
    share, squared = correct / n, float(ndtri((1 + confidence) / 2)) ** 2 / n
    middle = (share + squared / 2) / (1 + squared)
    half = math.sqrt(squared * (share * (1 - share) + squared / 4)) / (1 + squared)
    # At 0 and n of n an end is the proportion itself, which rounding may miss by 1e-17.
    return Proportion(correct, n, min(middle - half, share), max(middle + half, share))


@dataclass(frozen=True)
class Interval:
    """An estimate from n values with the ends of its 95 % interval; nan if they are unknown."""

    value: float
    low: float
    high: float
    n: int

    @property
    def is_known(self) -> bool:
        """Return whether the ends are known."""
        return math.isfinite(self.low) and math.isfinite(self.high)


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the mean of independent values with Student's t-interval.

    It holds for normally distributed values. The interval of a single value, or of equal ones,
    is unknown: runs that happen to agree, as shares of few examples do, have some variance.
    """
    n = len(values)
    mean = float(np.mean(values))
    if n < 2 or np.ptp(values) == 0:
        return Interval(mean, math.nan, math.nan, n)
    half = stdtrit(n - 1, (1 + confidence) / 2) * np.std(values, ddof=1) / math.sqrt(n)
    return Interval(mean, float(mean - half), float(mean + half), n)


def align_rows(ids: NDArray[np.int64], wanted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of `ids` (n,) in the order of `wanted` (n,): ids[rows] equals wanted.

    Raises ValueError if the ids differ or repeat.
    """
    order, wanted_order = np.argsort(ids), np.argsort(wanted)
    if len(np.unique(ids)) != len(ids) or len(np.unique(wanted)) != len(wanted):
        raise ValueError("an id occurs more than once")
    if not np.array_equal(ids[order], wanted[wanted_order]):
        missing, unknown = len(np.setdiff1d(wanted, ids)), len(np.setdiff1d(ids, wanted))
        raise ValueError(
            f"ids do not match: {missing} of {len(wanted)} examples have no prediction, "
            f"{unknown} predictions have no example"
        )
    rows = np.empty(len(ids), dtype=np.int64)
    rows[wanted_order] = order
    return rows


def is_finite(value: float | None) -> bool:
    """Return whether this is a number that can be ranked or plotted."""
    return value is not None and math.isfinite(value) and abs(value) < LARGEST


def rank_by(items: Iterable[T], score: Callable[[T], float], mode: str) -> list[T]:
    """Return the items with the best score first; ties stay in their order."""
    sign = -1.0 if mode == "max" else 1.0
    return sorted(items, key=lambda item: sign * score(item))


def thin_out(items: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` items of a ranking: half of them its best, the rest spread evenly."""
    head = limit // 2 if len(items) > limit else 0
    return [*items[:head], *sample_evenly(items[head:], limit - head)]


def sample_evenly(items: Sequence[T], limit: int) -> list[T]:
    """Return at most `limit` items, spread evenly over their order."""
    if len(items) <= limit:
        return list(items)
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).round().astype(int)]


def smooth(values: Sequence[float]) -> NDArray[np.float64] | None:
    """Return a curve smoothed by a Savitzky-Golay filter (1964), None if it is too short.

    The filter is quadratic, over a window of a quarter of the curve.
    """
    n = len(values)
    if n < SMOOTHED_FROM:
        return None
    window = max(5, n // 4 | 1)  # odd, and wider than the quadratic has coefficients
    from scipy.signal import savgol_filter  # a second of CPU, for long curves alone

    result: NDArray[np.float64] = savgol_filter(np.asarray(values, dtype=float), window, 2)
    return result
