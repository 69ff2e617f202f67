"""95 % intervals of every kind in a report cover the true value in 93 to 97 % of experiments.

The experiments are simulated, at least 2,000 of each kind, under the conditions of a report: few
seeds, some hundred examples, correct or wrong.
"""

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import norm

from reports.numbers.paired import compare_over_seeds, paired_bootstrap
from reports.numbers.statistics import Interval, mean_interval

EXPERIMENTS = 2000


def measure_coverage(
    experiment: Callable[[np.random.Generator], Interval],
    truth: float,
    experiments: int = EXPERIMENTS,
) -> float:
    random = np.random.default_rng(0)
    intervals = [experiment(random) for _ in range(experiments)]
    return float(np.mean([interval.low <= truth <= interval.high for interval in intervals]))


@pytest.mark.parametrize("seeds", [2, 5])
def test_the_mean_over_seeds(seeds: int) -> None:
    share = measure_coverage(lambda r: mean_interval(r.normal(0.9, 0.01, seeds).tolist()), 0.9)
    assert 0.93 <= share <= 0.97


def test_the_gain_in_accuracy_over_one_model() -> None:
    # Better on 4 % and worse on 2 % of 400 examples: a paired difference depends on nothing else.
    def experiment(random: np.random.Generator) -> Interval:
        return paired_bootstrap(random.choice([1, -1, 0], 400, p=[0.04, 0.02, 0.94]), 500)

    assert 0.93 <= measure_coverage(experiment, 0.02) <= 0.97


def test_the_gain_in_likelihood() -> None:
    # Losses are skewed: near 0 for most examples, large for a few.
    def experiment(random: np.random.Generator) -> Interval:
        return paired_bootstrap(random.exponential(1, 300) - random.exponential(0.9, 300), 300)

    assert 0.93 <= measure_coverage(experiment, 0.1) <= 0.97


@pytest.mark.parametrize(("seeds", "seed_effect"), [(3, 0.0), (5, 0.2)])
def test_the_difference_of_configurations_over_seeds_and_examples(
    seeds: int, seed_effect: float
) -> None:
    # The margin of an example is a shared part, a part of the configuration, an effect of the
    # seed, and noise of the run; a prediction is correct if it is above 0.
    own, noise, n = 0.35, 0.7, 300

    def runs(random: np.random.Generator, shared: np.ndarray, skill: float) -> np.ndarray:
        examples = shared + random.normal(skill, own, n)
        seed = random.normal(0, seed_effect, (seeds, 1))
        return np.asarray(examples + seed + random.normal(0, noise, (seeds, n)) > 0)

    def experiment(random: np.random.Generator) -> Interval:
        shared = random.normal(0, 1, n)
        return compare_over_seeds(runs(random, shared, 1.6), runs(random, shared, 1.5)).interval

    spread = np.sqrt(1 + own**2 + seed_effect**2 + noise**2)
    truth = norm.cdf(1.6 / spread) - norm.cdf(1.5 / spread)
    assert 0.93 <= measure_coverage(experiment, truth) <= 0.97


def test_the_difference_is_significant_no_more_often_than_its_level() -> None:
    random = np.random.default_rng(1)
    p_values = []
    for _ in range(EXPERIMENTS):
        shared = random.normal(1.5, 1, 300)
        sides = [shared + random.normal(0, 0.8, (4, 300)) > 0 for _ in range(2)]
        p_values.append(compare_over_seeds(sides[0], sides[1]).p)
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07
