"""What several runs of a configuration, on the same test examples, say about new runs of it."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import nctdtrinc, ndtr, ndtri, stdtrit

from reports.numbers.paired import Array, Difference
from reports.numbers.statistics import Interval

FEWEST = 3
"""Runs that an interval needs: of two its coverage is below 93 % where seeds differ."""
LEAST = 1e-9
"""The smallest p-value that is computed."""


def accuracy_over_seeds(
    correct: Array, of: int = 1, others: Sequence[Array] = (), confidence: float = 0.95
) -> Interval:
    """Return the mean accuracy (seeds, n) with its interval over new seeds and new examples.

    Its variance is that of the examples, which all runs share, and that of the seeds, without
    the residual that both contain. Student's quantile of the seeds and the normal one of the
    examples are combined in proportion to the variances (Cochran). The interval is Wilson's of
    as many independent examples as have that variance, so that it is inside [0, 1] and has a
    width where all runs agree. Its ends are unknown for fewer than FEWEST runs.

    `of` is the number of configurations of which these runs may be the best: the luck of their
    seeds is then part of why they were selected, so that the seeds' part, and it alone, is
    corrected. The winner is selected for a high mean, so the whole error probability is put on
    that side, divided by `of` (Bonferroni). The test examples selected nothing. `others` are
    runs of other configurations on the same examples: the variance of the seeds is at least that
    pooled over all. Runs selected for luck are near their ceiling, and their variance is too
    small: with it alone the interval of the best of 11, of 3 seeds each, covers 84 %.
    """
    values = np.asarray(correct, dtype=np.float64)
    seeds, n = values.shape
    mean = float(values.mean())
    if seeds < FEWEST or n < 2:
        return Interval(mean, math.nan, math.nan, n)
    of_seeds, degrees = _pool_seeds(values, others)
    of_examples = float(values.mean(axis=0).var(ddof=1)) / n
    variance, single = of_seeds + of_examples, mean * (1 - mean)
    tail = (1 - confidence) / 2
    one, two = stdtrit(degrees, 2 * tail / max(2, of)) ** 2, ndtri(tail) ** 2
    squared = (one * of_seeds + two * of_examples) / variance if variance else two
    # Where all are right, no number of examples has a variance that the others have.
    size = min(single / variance, seeds * n) if variance and single else n
    middle = (mean + squared / (2 * size)) / (1 + squared / size)
    half = math.sqrt(squared * (single + squared / (4 * size)) / size) / (1 + squared / size)
    return Interval(mean, float(middle - half), float(middle + half), n)


def _pool_seeds(values: Array, others: Sequence[Array]) -> tuple[float, float]:
    # The seeds' part of the variance of the mean, at least the pooled one, and its degrees of
    # freedom: the others' count half where the own part is the larger one, as in `compare_means`.
    sides = [values, *(np.asarray(side, dtype=np.float64) for side in others if len(side) > 1)]
    parts = [
        max(0.0, float(side.mean(axis=1).var(ddof=1)) - _find_residual(side) * len(side))
        for side in sides
    ]
    free = [len(side) - 1 for side in sides]
    pooled = float(np.average(parts, weights=free))
    if parts[0] >= pooled:
        return parts[0] / len(values), free[0] + sum(free[1:]) / 2
    return pooled / len(values), float(sum(free))


@dataclass(frozen=True)
class SeedVariance:
    """The variance of an accuracy over seeds, and its degrees of freedom."""

    value: float = 0.0
    freedom: int = 0


UNKNOWN = SeedVariance()


def pool_seed_variance(scores: Iterable[Sequence[float]], n: int) -> SeedVariance:
    """Return the variance of seeds, pooled over the accuracies of several configurations.

    `scores` has those of the runs of each, on the same `n` examples. The binomial variance of n
    answers is subtracted, so that it is rather too small.
    """
    groups = [np.asarray(runs, dtype=np.float64) for runs in scores if len(runs) > 1]
    if not groups or min(map(np.min, groups)) < 0 or max(map(np.max, groups)) > 1:
        return UNKNOWN
    free = [len(runs) - 1 for runs in groups]
    pooled = np.average([runs.var(ddof=1) for runs in groups], weights=free)
    mean = np.concatenate(groups).mean()
    return SeedVariance(max(0.0, float(pooled - mean * (1 - mean) / n)), sum(free))


def compare_selected(
    ours: Array, theirs: Array, of: int, seed_variance: SeedVariance = UNKNOWN
) -> Difference:
    """Compare the best of several configurations with another on the same examples.

    ours (seeds, n), theirs (seeds, n): whether each run is correct. As `accuracy_over_seeds`, the
    seeds' part of the variance has Student's quantile (Satterthwaite's degrees of freedom), with
    the error probability on the side of ours, divided by the `of` configurations of which ours
    may be the best by luck of its seeds, and the examples' part the normal one. The interval is
    of 95 %, and covers up to 99 % where the scores of seeds are skewed; its ends are unknown for
    fewer than FEWEST runs. The seeds vary by `seed_variance` at least: where every other run
    learns nothing, the three of a configuration agree in one of four. Raises ValueError for fewer
    than two runs.
    """
    if min(len(ours), len(theirs)) < 2:
        raise ValueError(f"{len(ours)} and {len(theirs)} runs: at least two of each are needed")
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    n = a.shape[1]
    parts = [(float(s.mean(axis=1).var(ddof=1)) / len(s), len(s) - 1) for s in (a, b)]
    of_runs = sum(part for part, _ in parts)
    free = of_runs**2 / sum(part**2 / df for part, df in parts) if of_runs else 1.0
    of_seeds = max(0.0, of_runs - _find_residual(a) - _find_residual(b))
    least = seed_variance.value * (1 / len(a) + 1 / len(b))
    if least > of_seeds:
        of_seeds, free = least, float(seed_variance.freedom)
    gap = float(a.mean() - b.mean())
    # One answer more on either side, as Agresti and Min: few disagreements have a width as well.
    spread = float((a.mean(axis=0) - b.mean(axis=0)).var(ddof=1)) / n
    of_examples = spread + 2 / n**2 / max(len(a), len(b))

    def half(level: float) -> float:
        seeds, examples = stdtrit(free, level / max(2, of)), ndtri(level / 2)
        return math.sqrt(seeds**2 * of_seeds + examples**2 * of_examples)

    wide = half(0.05) if min(len(a), len(b)) >= FEWEST else math.nan
    p = 1.0
    if abs(gap) > half(LEAST):
        p = LEAST
    elif abs(gap) > half(1.0):
        from scipy.optimize import brentq  # a third of a second of CPU

        p = float(brentq(lambda level: half(level) - abs(gap), LEAST, 1.0, xtol=LEAST))
    return Difference(Interval(gap, gap - wide, gap + wide, n), p)


def probability_better(
    ours: Array, theirs: Array, confidence: float = 0.95, seed_variance: SeedVariance = UNKNOWN
) -> Interval:
    """Return the probability that a new run of ours beats one of theirs on new examples.

    ours (seeds, n), theirs (seeds, n): whether each run is correct on each example. Both new runs
    have the same n new examples, and normally distributed accuracies. The interval inverts the
    noncentral t distribution; a bootstrap of few seeds would be far too narrow. The seeds vary by
    `seed_variance` at least. Its ends are unknown for fewer than FEWEST runs, and the probability
    too where nothing varies.
    """
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    n = a.shape[1]
    gap = float(a.mean() - b.mean())
    runs = [float(side.mean(axis=1).var(ddof=1)) for side in (a, b)]
    residuals = _find_residual(a) + _find_residual(b)
    own = (a.mean(axis=0) - b.mean(axis=0)).var(ddof=1) / n - residuals
    of_examples = max(0.0, float(own))
    free = [len(a) - 1, len(b) - 1]
    if 2 * seed_variance.value > sum(runs):
        runs, free = [seed_variance.value] * 2, [seed_variance.freedom] * 2
    parts = [(runs[0] / len(a), free[0]), (runs[1] / len(b), free[1]), (of_examples, n - 1)]
    of_means, of_runs = sum(part for part, _ in parts), sum(runs) + of_examples
    if of_runs == 0:
        return Interval(math.nan, math.nan, math.nan, n)
    value = float(ndtr(gap / math.sqrt(of_runs)))
    if min(len(a), len(b)) < FEWEST:
        return Interval(value, math.nan, math.nan, n)
    degrees = of_means**2 / sum(part**2 / free for part, free in parts)
    tail = (1 - confidence) / 2
    # nctdtrinc returns the noncentrality for which t is this quantile.
    shifts = nctdtrinc(degrees, np.array([1 - tail, tail]), gap / math.sqrt(of_means))
    low, high = ndtr(shifts * math.sqrt(of_means / of_runs))
    return Interval(value, float(low), float(high), n)


def _find_residual(side: Array) -> float:
    # What is left beside seeds and examples, as a variance of the mean of all values.
    seeds, n = side.shape
    rest = side - side.mean(axis=1, keepdims=True) - side.mean(axis=0) + side.mean()
    return float((rest**2).sum() / ((seeds - 1) * (n - 1)) / (seeds * n))
