"""Comparison of the mean scores of groups of runs, such as the seeds of several settings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, ndtr, stdtr, stdtrit

from reports.numbers.paired import Difference, adjust_p_values
from reports.numbers.statistics import Interval

FREEDOM = 4  # residual degrees of freedom; with fewer, half-failed seeds look like certainty
ENOUGH = 5  # runs of a row: with fewer, and more in others, equal means differ in up to 20 %
LEVEL = 0.05  # familywise, over all pairs
PERMUTATIONS = 4999
NODES = 48  # of Gauss-Legendre quadrature: p-values are exact to 0.0005


@dataclass(frozen=True)
class Comparison:
    """Two groups by their places, and the first mean less the second one."""

    first: int
    second: int
    difference: Difference  # with the p-value of this pair alone
    p: float  # corrected for all pairs


def explain_refusal(groups: Sequence[Sequence[float]], step: float = 0.0) -> str | None:
    """Return why the means of these groups cannot be compared; None if they can.

    `step` is the difference of two scores next to each other, 1 / n for a share of n examples.
    """
    runs, freedom = sum(map(len, groups)), sum(map(len, groups)) - len(groups)
    if len(groups) < 2 or min(map(len, groups)) < 2:
        return "a test needs two complete runs of at least two rows"
    if freedom < FREEDOM:
        needed = math.ceil(FREEDOM / len(groups)) + 1
        return (
            f"{runs} runs in {len(groups)} rows are too few for a test: it needs {needed} seeds "
            "per row"
        )
    fewest, most = min(map(len, groups)), max(map(len, groups))
    if fewest < ENOUGH and most > 2 * fewest:
        return (
            f"the rows have {fewest} to {most} runs: fewer than {ENOUGH} are compared with at "
            "most twice as many"
        )
    if step == 0 and all(len(set(scores)) == 1 for scores in groups):
        return "all runs of a row have the same score, so the spread of the runs is unknown"
    return None


def compare_means(
    groups: Sequence[Sequence[float]], step: float = 0.0, confidence: float = 0.95
) -> list[Comparison]:
    """Compare all pairs of groups of independent runs by their means.

    Student's t with the standard error of Welch (1947), but at least that of the variance pooled
    over all groups: two seeds that agree by chance have a variance of 0, and one unstable group
    has more than the pooled one. The variance within a group is at least that of two
    neighbouring scores, `step` / 2 squared, and the degrees of freedom of the other groups count
    half if the pair's own variance is the larger one. The p-values are corrected in steps, by the
    smaller of Holm's correction and Tukey's for all pairs: either bounds the error of the pairs
    that are left, so that the smaller does. For more than two groups no pair differs unless the
    groups do, by the permutation test of the variance between them, whatever the distribution of
    the runs. `tests/benchmarks/calibration/means.py` measures the familywise error, and the
    power: of two groups a difference of three standard errors is found in 52, 73 and 82 % with
    3, 5 and 10 runs each, where the t-test with pooled variance, the most powerful one, finds 62,
    75 and 81 %, but errs where spreads differ. Raises ValueError where `explain_refusal` does not
    return None.
    """
    if reason := explain_refusal(groups, step):
        raise ValueError(reason)
    values = [np.asarray(scores, np.float64) for scores in groups]
    sizes = np.array([len(v) for v in values])
    free = sizes - 1
    means = np.array([v.mean() for v in values])
    variances = np.maximum([v.var(ddof=1) for v in values], (step / 2) ** 2)
    pooled = np.average(variances, weights=free)
    first, second = np.array(list(combinations(range(len(groups)), 2))).T
    parts = variances / sizes
    own = parts[first] + parts[second]
    least = pooled * (1 / sizes[first] + 1 / sizes[second])
    squares = parts**2 / free
    with np.errstate(invalid="ignore"):  # a pair without any variance has the pooled one
        satterthwaite = own**2 / (squares[first] + squares[second])
    others = free.sum() - free[first] - free[second]
    is_own = (own >= least) | (len(groups) == 2)
    degrees = np.where(is_own, satterthwaite + others / 2, free.sum())
    error = np.sqrt(np.maximum(own, least))
    gaps = means[first] - means[second]
    halves = stdtrit(degrees, (1 + confidence) / 2) * error
    distances = np.abs(gaps) / error
    p_values = 2 * stdtr(degrees, -distances)
    close = p_values < (LEVEL if len(groups) > 2 else 0)  # the others are never significant
    bounds = np.ones(len(p_values))
    bounds[close] = bound_all_pairs(distances[close], len(groups), degrees[close])
    corrected = adjust_p_values(p_values.tolist(), bounds.tolist())
    if len(groups) > 2 and min(corrected) < LEVEL:
        overall = _test_all(values)
        corrected = [max(p, overall) for p in corrected]
    return [
        Comparison(
            int(i), int(j), Difference(Interval(gap, gap - half, gap + half, runs), alone), p
        )
        for i, j, gap, half, runs, alone, p in zip(
            first,
            second,
            gaps.tolist(),
            halves.tolist(),
            (sizes[first] + sizes[second]).tolist(),
            p_values.tolist(),
            corrected,
            strict=True,
        )
    ]


def bound_all_pairs(
    distances: NDArray[np.float64], groups: int, degrees: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return how probable it is that any pair of equal groups is so many standard errors apart.

    distances, degrees: (pairs,). The studentized range (Tukey, 1953), which `scipy.stats` computes
    as well, in 20 ms for each pair.
    """
    nodes, weights = _find_nodes()
    tails, weights = (nodes + 1) / 2, weights / 2
    spread = np.sqrt(chdtri(degrees[:, None], tails) / degrees[:, None])  # (pairs, nodes)
    width = (np.sqrt(2) * distances[:, None] * spread)[..., None]
    z = 8 * nodes  # the largest of the groups, in standard deviations
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * 16 * weights
    inside = groups * (density * (ndtr(z) - ndtr(z - width)) ** (groups - 1)).sum(axis=-1)
    return np.asarray(np.clip(1 - (weights * inside).sum(axis=-1), 0, 1))


@cache
def _find_nodes() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.polynomial.legendre.leggauss(NODES)


def _test_all(values: Sequence[NDArray[np.float64]]) -> float:
    # Not scipy's `permutation_test`, which takes ten times as long.
    together = np.concatenate(values)
    together = together - together.mean()  # squares far from 0 would lose their last digits
    sizes = np.array([len(v) for v in values])
    starts = np.cumsum(sizes) - sizes
    random = np.random.default_rng(0)
    shuffled = random.permuted(np.tile(together, (PERMUTATIONS, 1)), axis=1)
    between = (np.add.reduceat(shuffled, starts, axis=1) ** 2 / sizes).sum(axis=1)
    found = float((np.add.reduceat(together, starts) ** 2 / sizes).sum())
    return (1 + int((between >= found * (1 - 1e-9)).sum())) / (1 + PERMUTATIONS)
