"""Paired comparison of two models on the same examples: tests and intervals of differences."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtri, stdtr, stdtrit

from reports.numbers.statistics import Interval

Array = NDArray[Any]

RESAMPLES = 4_000
FEWEST = 5  # disagreements, for an interval: with fewer it covers more than 98 %
CHUNK = 2**24  # entries of a resampling matrix held at once: 128 MB of int64


@dataclass(frozen=True)
class Difference:
    """A mean difference per example with its interval, and the p-value of no difference."""

    interval: Interval
    p: float


def mcnemar(ours: Array, theirs: Array) -> float:
    """Return the mid-p-value of McNemar's test for two models (Fagerland et al., 2013).

    ours, theirs: whether each example is classified correctly, (n,) bool. Two-sided: the exact
    p-value less half the probability of the observed count, since the exact test of few
    disagreements is too conservative. 1 if the models never disagree.
    """
    first = int(np.sum(ours & ~theirs))
    second = int(np.sum(theirs & ~ours))
    n = first + second
    if first == second:
        return 1.0
    fewer = min(first, second)
    below = bdtr(fewer - 1, n, 0.5) if fewer else 0.0
    return float(bdtr(fewer, n, 0.5) + below)


def compare_correct(ours: Array, theirs: Array, confidence: float = 0.95) -> Difference:
    """Return the gain in accuracy of one model over another one, with McNemar's mid-p-value.

    ours, theirs: whether each example is classified correctly, (n,) bool. The interval is that
    of Agresti and Min (2005), which adds half an example to each kind of disagreement: a
    bootstrap of no disagreement has no width. Its ends are unknown for fewer than FEWEST
    disagreements.
    """
    n = len(ours)
    first, second = int(np.sum(ours & ~theirs)), int(np.sum(theirs & ~ours))
    gain = (first - second) / n
    p = mcnemar(ours, theirs)
    if first + second < FEWEST:
        return Difference(Interval(gain, math.nan, math.nan, n), p)
    middle = (first - second) / (n + 2)
    error = math.sqrt(first + second + 1 - (first - second) ** 2 / (n + 2)) / (n + 2)
    half = float(ndtri((1 + confidence) / 2)) * error
    return Difference(Interval(gain, middle - half, middle + half, n), p)


def paired_bootstrap(
    differences: Array, resamples: int = RESAMPLES, confidence: float = 0.95, seed: int = 0
) -> Interval:
    """Return the mean of differences (n,), such as of losses, with its bootstrap interval.

    The ends are unknown where all differences are equal.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if np.ptp(values) == 0:
        return Interval(float(values[0]), math.nan, math.nan, n)
    random = np.random.default_rng(seed)
    rows = max(1, CHUNK // n)
    sizes = [min(rows, resamples - start) for start in range(0, resamples, rows)]
    means = np.concatenate(
        [values[random.integers(0, n, (size, n))].mean(axis=1) for size in sizes]
    )
    tail = (1 - confidence) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    return Interval(float(values.mean()), float(low), float(high), n)


def compare_over_seeds(ours: Array, theirs: Array, confidence: float = 0.95) -> Difference:
    """Compare two configurations, each run with several seeds, on the same examples.

    ours (seeds, n), theirs (seeds, n): a value per run and example, such as correct or wrong.
    Seeds and examples are crossed random effects: the variance of the difference is the sum of
    a component of each configuration's seeds and one of the examples, less the residual that
    both contain. Student's t with Satterthwaite's degrees of freedom. Raises ValueError for
    fewer than two seeds.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"{len(ours)} and {len(theirs)} seeds: at least two of each are needed")
    a, b = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    n = a.shape[1]
    differences = a.mean(axis=0) - b.mean(axis=0)
    parts = [(side.mean(axis=1).var(ddof=1) / len(side), len(side) - 1) for side in (a, b)]
    of_examples = differences.var(ddof=1) / n - _find_residual(a) - _find_residual(b)
    if of_examples > 0:
        parts.append((of_examples, n - 1))
    variance = sum(part for part, _ in parts)
    mean = float(differences.mean())
    if variance == 0:  # every example differs in the same way, or none: the sign test of n
        return Difference(Interval(mean, math.nan, math.nan, n), 0.5 ** (n - 1) if mean else 1.0)
    degrees = variance**2 / sum(part**2 / free for part, free in parts)
    half = stdtrit(degrees, (1 + confidence) / 2) * math.sqrt(variance)
    p = 2 * stdtr(degrees, -abs(mean) / math.sqrt(variance))
    return Difference(Interval(mean, float(mean - half), float(mean + half), n), float(p))


def _find_residual(side: Array) -> float:
    # Mean square of the residual of both effects, divided by the number of values in the mean.
    seeds, n = side.shape
    rest = side - side.mean(axis=1, keepdims=True) - side.mean(axis=0) + side.mean()
    return float((rest**2).sum() / ((seeds - 1) * (n - 1)) / (seeds * n))


def adjust_p_values(
    p_values: Sequence[float], bounds: Sequence[float] | None = None
) -> list[float]:
    """Return p-values corrected for multiple tests (Holm, 1979), in the same order.

    `bounds` are p-values that are corrected for all tests at once; the smaller correction counts
    at each step. Not statsmodels' `multipletests`, which collects garbage on each call: 0.1 s.
    """
    order = np.argsort(p_values, kind="stable")
    tests_left = np.arange(len(order), 0, -1)
    at_most = np.ones(len(order)) if bounds is None else np.asarray(bounds)[order]
    steps = np.minimum(np.asarray(p_values)[order] * tests_left, at_most)
    corrected = np.empty(len(order))
    corrected[order] = np.maximum.accumulate(steps)
    return [float(p) for p in np.minimum(corrected, 1)]
