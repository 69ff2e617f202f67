"""Means over seeds: how often equal arms differ, and how often a true difference is found."""

from __future__ import annotations

from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.stats import nct, studentized_range

from reports.numbers.means import LEVEL, compare_means, explain_refusal
from reports.numbers.statistics import mean_interval
from tests.benchmarks.calibration.rates import Rate, Row, Rows, repeat

KINDS = ("normal", "skewed", "tied", "half dead", "unequal")
TRUE = 0.95  # mean score
DEAD = 0.196  # of a run that learned nothing


def draw_scores(
    random: np.random.Generator, kind: str, arms: int, seeds: int, examples: int
) -> NDArray[np.float64]:
    """Return scores (arms, seeds) of equal arms; shares of `examples`, or continuous if 0.

    `unequal` has the same mean in all arms and five times the spread in the first one.
    """
    shape = (arms, seeds)
    if kind == "normal":
        scores = random.normal(TRUE, 0.004, shape)
    elif kind == "skewed":
        scores = 1 - random.gamma(0.5, 0.01, shape)
    elif kind == "tied":  # half of the runs are one step better than the others
        step = 1 / (examples or 1000)
        return np.asarray(round(TRUE / step) * step + step * random.integers(0, 2, shape))
    elif kind == "half dead":
        alive = random.normal(TRUE, 0.004, shape)
        scores = np.where(random.random(shape) < 0.5, DEAD, alive)
    elif kind == "unequal":
        spread = np.where(np.arange(arms) == 0, 0.02, 0.004)[:, None]
        scores = random.normal(0.9, spread, shape)
    else:
        raise ValueError(f"kind {kind!r} is none of {', '.join(KINDS)}")
    return np.round(scores * examples) / examples if examples else scores


def measure_familywise_error(
    kind: str, arms: int, seeds: int, examples: int, experiments: int, better: int = 0
) -> Rate:
    """Return how often any two of several equal arms are said to differ; never if refused.

    The first `better` of the arms are far better than the others, and equal as well.
    """
    step = 1 / examples if examples else 0.0
    ahead = np.where(np.arange(arms) < better, 0.5, 0.0)[:, None]

    def is_wrong(random: np.random.Generator) -> bool:
        scores = (draw_scores(random, kind, arms, seeds, examples) + ahead).tolist()
        if explain_refusal(scores, step):
            return False
        return any(
            pair.p < LEVEL
            for pair in compare_means(scores, step)
            if (pair.first < better) == (pair.second < better)
        )

    return repeat(is_wrong, experiments)


def measure_power(arms: int, seeds: int, errors: float, experiments: int) -> Rate:
    """Return how often an arm that is `errors` standard errors better is told from another."""

    def is_found(random: np.random.Generator) -> bool:
        scores = random.normal(0, 1, (arms, seeds))
        scores[0] += errors * np.sqrt(2 / seeds)
        return compare_means(scores.tolist())[0].p < LEVEL

    return repeat(is_found, experiments)


def find_pooled_power(arms: int, seeds: int, errors: float) -> float:
    """Return the power for one pair of arms of Tukey's test with the pooled variance.

    It is exact for normal scores of equal spread. Of two arms it is Student's t-test, which no
    unbiased test exceeds; of more a stepwise test may.
    """
    freedom = arms * (seeds - 1)
    least = studentized_range.isf(LEVEL, arms, freedom) / np.sqrt(2)
    return float(nct.sf(least, freedom, errors) + nct.cdf(-least, freedom, errors))


def measure_gap_coverage(arms: int, seeds: int, examples: int, experiments: int) -> Rate:
    """Return how often the interval of the first pair contains the true difference, 0."""
    step = 1 / examples if examples else 0.0

    def is_covered(random: np.random.Generator) -> bool:
        scores = draw_scores(random, "normal", arms, seeds, examples).tolist()
        gap = compare_means(scores, step)[0].difference.interval
        return gap.low <= 0 <= gap.high

    return repeat(is_covered, experiments)


def measure_mean_coverage(kind: str, seeds: int, examples: int, experiments: int) -> Rate:
    """Return how often the interval of a mean over seeds contains the true mean, if shown."""
    random = np.random.default_rng(1)
    truth = float(draw_scores(random, kind, 1, 1_000_000, examples).mean())
    covered = []
    for _ in range(experiments):
        found = mean_interval(draw_scores(random, kind, 1, seeds, examples)[0].tolist())
        if found.is_known:
            covered.append(found.low <= truth <= found.high)
    return Rate(float(np.mean(covered)), len(covered))


def simulate_errors(experiments: int) -> Rows:
    """Yield the rows of equal arms, all of whose differences are errors."""
    for kind, arms, seeds, examples in product(KINDS, (2, 6, 10), (2, 3, 5), (359, 2500, 0)):
        refused = arms * (seeds - 1) < 4
        setting = f"{kind}, {arms} arms × {seeds} seeds, {describe_examples(examples)}"
        rate = measure_familywise_error(kind, arms, seeds, examples, experiments)
        setting += " (refused)" if refused else ""
        yield Row("equal arms differ", setting, rate, high=LEVEL, is_required=kind != "unequal")


def simulate_power(experiments: int) -> Rows:
    """Yield the rows of arms of which some are better, and of the intervals of means."""
    for kind, (arms, seeds), better in product(
        ("normal", "skewed", "tied", "half dead"), ((3, 3), (6, 3), (10, 5)), (1, 2)
    ):
        rate = measure_familywise_error(kind, arms, seeds, 359, experiments, better)
        setting = f"{kind}, {better} of {arms} arms × {seeds} seeds better, shares of 359"
        yield Row("equal arms beside better ones differ", setting, rate, high=LEVEL)
    for arms, seeds, errors in ((2, 3, 4.5), (2, 5, 3.5), (2, 10, 3), (6, 3, 5.5), (6, 5, 4.5)):
        yield _find_power_row(arms, seeds, errors, experiments, 0.8)
    for arms, seeds in ((2, 3), (2, 5), (6, 3), (6, 5), (6, 10)):
        yield _find_power_row(arms, seeds, 3, experiments, 0.0)
    for arms, seeds, examples in product((2, 6), (3, 5), (2500, 0)):
        rate = measure_gap_coverage(arms, seeds, examples, experiments)
        setting = f"normal, {arms} arms × {seeds} seeds, {describe_examples(examples)}"
        yield Row("interval of a difference of means", setting, rate, 0.93, 0.98)
    for kind, seeds, examples in product(("normal", "skewed", "half dead"), (2, 3, 5), (2500, 0)):
        rate = measure_mean_coverage(kind, seeds, examples, experiments)
        setting = f"{kind}, {seeds} seeds, {describe_examples(examples)}"
        yield Row("interval of a mean", setting, rate, 0.93, 0.98, is_required=kind == "normal")


def _find_power_row(arms: int, seeds: int, errors: float, experiments: int, low: float) -> Row:
    most = find_pooled_power(arms, seeds, errors)
    setting = f"{errors:g} standard errors, {arms} arms × {seeds} seeds, pooled {most:.0%}"
    rate = measure_power(arms, seeds, errors, experiments)
    return Row("a true difference is found", setting, rate, low=low, is_required=low > 0)


def describe_examples(examples: int) -> str:
    """Return `shares of 359` or `continuous`."""
    return f"shares of {examples:,}" if examples else "continuous"
