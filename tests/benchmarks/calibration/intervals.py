"""95 % intervals of accuracies, of paired differences and of rank correlations: their coverage."""

from __future__ import annotations

import math
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
from scipy.stats import norm

from reports.chapters.audit import FEWEST_INTERVAL, rank_correlation
from reports.numbers import scores
from reports.numbers.paired import compare_correct, compare_over_seeds, paired_bootstrap
from reports.numbers.scores import FEWEST, FEWEST_SQUARES, score_outputs
from reports.numbers.statistics import wilson_interval
from tests.benchmarks.calibration.rates import Rate, Row, Rows, repeat

OWN, NOISE = 0.25, 0.5  # spread of the margins: of a configuration, and of a run


def measure_accuracy_coverage(accuracy: float, n: int, experiments: int) -> Rate:
    """Return how often Wilson's interval of n examples contains the true accuracy."""

    def is_covered(random: np.random.Generator) -> bool:
        found = wilson_interval(int(random.binomial(n, accuracy)), n)
        return found.low <= accuracy <= found.high

    return repeat(is_covered, experiments)


def measure_gain_coverage(better: float, worse: float, n: int, experiments: int) -> Rate:
    """Return how often the interval of a gain in accuracy contains the true one, where shown."""
    random = np.random.default_rng(0)
    covered = []
    for _ in range(experiments):
        kind = random.choice(3, n, p=[better, worse, 1 - better - worse])
        found = compare_correct(kind != 1, kind != 0).interval
        if found.is_known:
            covered.append(found.low <= better - worse <= found.high)
    return Rate(float(np.mean(covered)), len(covered))


def measure_loss_coverage(n: int, experiments: int) -> Rate:
    """Return how often the interval of a gain in likelihood contains the true one."""

    def is_covered(random: np.random.Generator) -> bool:
        # Losses are skewed: near 0 for most examples, large for a few.
        gain = random.exponential(1, n) - random.exponential(0.9, n)
        found = paired_bootstrap(gain, 500)
        return found.low <= 0.1 <= found.high

    return repeat(is_covered, experiments)


def measure_seeds_coverage(seeds: int, luck: float, experiments: int, n: int = 360) -> Rate:
    """Return how often the interval of two configurations over seeds contains the difference."""
    spread = math.sqrt(1 + OWN**2 + NOISE**2 + luck**2)
    truth = norm.cdf(1.9 / spread) - norm.cdf(1.8 / spread)

    def is_covered(random: np.random.Generator) -> bool:
        easy = random.normal(0, 1, n)
        one, two = (
            skill
            + easy
            + random.normal(0, OWN, n)
            + random.normal(0, luck, (seeds, 1))
            + random.normal(0, NOISE, (seeds, n))
            > 0
            for skill in (1.9, 1.8)
        )
        found = compare_over_seeds(one, two).interval
        return bool(found.low <= truth <= found.high)

    return repeat(is_covered, experiments)


def measure_rank_coverage(correlation: float, n: int, experiments: int) -> Rate:
    """Return how often the interval of Spearman's correlation contains it, where it is shown.

    `correlation` is Pearson's of the normally distributed scores.
    """
    random, covered = np.random.default_rng(0), []
    truth = 6 / math.pi * math.asin(correlation / 2)
    for _ in range(experiments):
        x = random.normal(0, 1, n)
        y = correlation * x + math.sqrt(1 - correlation**2) * random.normal(0, 1, n)
        _, low, high = rank_correlation(x.tolist(), y.tolist())
        if not math.isnan(low):
            covered.append(low <= truth <= high)
    return Rate(float(np.mean(covered)), len(covered))


LAWS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda r, n: r.normal(0, 1, n),
    "Laplace": lambda r, n: r.laplace(0, 1, n),
    "log-normal": lambda r, n: np.exp(r.normal(0, 0.5, n)) - math.exp(0.125),
    "5 % threefold": lambda r, n: r.normal(0, 1, n) * np.where(r.random(n) < 0.05, 3, 1),
}
"""Distributions of the errors of a regression, with mean 0."""


def measure_score_coverage(law: str, n: int, experiments: int) -> dict[str, Rate]:
    """Return how often the intervals of a regression's scores contain the true ones.

    Half of the variance of the targets is explained. An interval that is refused is not among
    them. Of resamples there are fewer than in a report: they take most of the time.
    """
    random, draw = np.random.default_rng(0), LAWS[law]
    errors = draw(random, 5_000_000)
    variance = float((errors**2).mean())
    truth = {"RMSE": math.sqrt(variance), "MAE": float(np.abs(errors).mean()), "R²": 0.5}
    covered: dict[str, list[bool]] = {}
    for _ in range(experiments):
        outputs = random.normal(0, math.sqrt(variance), n)
        with patch.object(scores, "RESAMPLES", 400):
            measured = score_outputs(outputs, outputs + draw(random, n))
        for name, found in measured.items():
            if found.is_known:
                covered.setdefault(name, []).append(found.low <= truth[name] <= found.high)
    return {name: Rate(float(np.mean(each)), len(each)) for name, each in covered.items()}


def simulate(experiments: int) -> Rows:
    """Yield the rows of these intervals."""
    for accuracy in (0.75, 0.975):
        for n in (359, 2500):
            rate = measure_accuracy_coverage(accuracy, n, experiments)
            setting = f"accuracy of {accuracy:.1%}, n = {n:,}"
            yield Row("interval of an accuracy", setting, rate, 0.93, 0.98)
    for n in (359, 2500):
        for better, worse in ((0.01, 0.01), (0.03, 0.02), (0.05, 0.01)):
            rate = measure_gain_coverage(better, worse, n, experiments)
            setting = f"better on {better:.0%}, worse on {worse:.0%} of {n:,}"
            yield Row("interval of a gain in accuracy", setting, rate, 0.93, 0.98)
        rate = measure_loss_coverage(n, max(200, experiments // 4))
        setting = f"skewed losses, n = {n:,}"
        yield Row("interval of a gain in likelihood", setting, rate, 0.93, 0.98)
    for seeds in (3, 5):
        for luck in (0.0, 0.25):
            rate = measure_seeds_coverage(seeds, luck, experiments)
            setting = f"{seeds} seeds, luck of {luck:g}, n = 360"
            yield Row("interval of a difference over seeds", setting, rate, 0.93, 0.98)
    for n in (FEWEST_INTERVAL, 2 * FEWEST_INTERVAL):
        for correlation in (0.0, 0.8):
            rate = measure_rank_coverage(correlation, n, experiments)
            setting = f"correlation of {correlation:g}, {n} control trials"
            yield Row("interval of a rank correlation", setting, rate, 0.93, 0.98)
    for law in LAWS:
        for n in (FEWEST, FEWEST_SQUARES):
            for name, rate in measure_score_coverage(law, n, experiments // 2).items():
                setting = f"errors {law}, n = {n:,}"
                yield Row(f"interval of a regression's {name}", setting, rate, 0.93, 0.98)
