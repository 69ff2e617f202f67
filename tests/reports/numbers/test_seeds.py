"""Runs on the same examples: intervals over seeds and examples, and the best of several."""

import math

import numpy as np
import pytest
from scipy.stats import norm, t

from reports.numbers.seeds import (
    UNKNOWN,
    SeedVariance,
    accuracy_over_seeds,
    compare_selected,
    pool_seed_variance,
    probability_better,
)

EXPERIMENTS = 400
SKILL, OWN, NOISE = 2.0, 0.25, 0.5


def make_runs(
    random: np.random.Generator,
    easy: np.ndarray,
    luck: np.ndarray,
    skill: float = SKILL,
    own: float = OWN,
) -> np.ndarray:
    """Return which examples are right, (seeds, n), of runs with this luck."""
    n = len(easy)
    margin = skill + easy + random.normal(0, own, n) + luck[:, None]
    return np.asarray(margin + random.normal(0, NOISE, (len(luck), n)) > 0)


def find_truth(spread: float) -> float:
    return float(norm.cdf(SKILL / math.sqrt(1 + OWN**2 + NOISE**2 + spread**2)))


@pytest.mark.parametrize(("seeds", "n", "spread"), [(3, 300, 0.1), (5, 1000, 0.0), (5, 300, 0.25)])
def test_the_interval_of_one_configuration_covers(seeds: int, n: int, spread: float) -> None:
    random, covered = np.random.default_rng(0), 0
    for _ in range(EXPERIMENTS):
        runs = make_runs(random, random.normal(0, 1, n), random.normal(0, spread, seeds))
        found = accuracy_over_seeds(runs)
        covered += found.low <= find_truth(spread) <= found.high
    assert 0.91 <= covered / EXPERIMENTS <= 0.99


def test_the_interval_of_the_luckiest_of_six_covers_and_it_beats_no_other() -> None:
    random, seeds, n, spread = np.random.default_rng(1), 5, 300, 0.25
    covered = plain = beats = better = 0
    for _ in range(EXPERIMENTS):
        easy, luck = random.normal(0, 1, n), random.normal(0, spread, (6, seeds))
        runs = [make_runs(random, easy, row) for row in luck]
        best = int(luck.mean(axis=1).argmax())  # as a large validation set would select
        found = accuracy_over_seeds(runs[best], of=6)
        covered += found.low <= find_truth(spread) <= found.high
        other = accuracy_over_seeds(runs[best])
        plain += other.low <= find_truth(spread) <= other.high
        if best:
            beats += compare_selected(runs[best], runs[0], of=5).p < 0.05
            better += probability_better(runs[best], runs[0], 0.99).low > 0.5
    assert 0.91 <= covered / EXPERIMENTS <= 0.99
    assert plain < covered
    assert beats / EXPERIMENTS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)
    assert better / EXPERIMENTS <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)


def test_the_luckiest_of_eleven_covers_where_seeds_differ_much() -> None:
    random, seeds, n, spread = np.random.default_rng(3), 3, 300, 0.5
    covered = own = 0
    for _ in range(EXPERIMENTS):
        easy, luck = random.normal(0, 1, n), random.normal(0, spread, (11, seeds))
        order = luck.mean(axis=1).argsort()[::-1].tolist()
        opened = dict.fromkeys([*order[:2], 0])  # winner, runner-up and default
        best, *others = (make_runs(random, easy, luck[of]) for of in opened)
        found = accuracy_over_seeds(best, 11, others)
        covered += found.low <= find_truth(spread) <= found.high
        alone = accuracy_over_seeds(best, 11)
        own += alone.low <= find_truth(spread) <= alone.high
    assert 0.93 - 2 * 0.013 <= covered / EXPERIMENTS <= 0.98 + 2 * 0.007
    assert own / EXPERIMENTS < 0.9


def test_the_best_of_eleven_whose_seeds_are_half_dead_beats_no_other() -> None:
    random, seeds, n = np.random.default_rng(5), 3, 300
    beats, better = np.zeros(2), np.zeros(2)
    for _ in range(EXPERIMENTS):
        easy = random.normal(0, 1, n)
        luck = np.where(random.random((11, seeds)) < 0.5, -4.0, 0.0)
        runs = [make_runs(random, easy, row) for row in luck]
        known = pool_seed_variance([side.mean(axis=1).tolist() for side in runs], n)
        best = int(luck.mean(axis=1).argmax())
        if best:
            for place, least in enumerate((known, UNKNOWN)):
                found = compare_selected(runs[best], runs[0], 10, least)
                beats[place] += found.p < 0.05
                found_better = probability_better(runs[best], runs[0], 0.995, least)
                better[place] += found_better.low > 0.5
    most = 0.05 + 2 * math.sqrt(0.05 * 0.95 / EXPERIMENTS)
    for share, without in (beats / EXPERIMENTS, better / EXPERIMENTS):
        assert share <= most < without


def test_luck_is_what_examples_do_not_explain() -> None:
    assert pool_seed_variance([[0.5, 0.9], [0.7]], 10**9) == SeedVariance(pytest.approx(0.08), 1)
    assert pool_seed_variance([[0.80, 0.81], [0.79, 0.80, 0.81]], 100) == SeedVariance(0.0, 3)
    assert pool_seed_variance([[80.0, 81.0]], 100) == pool_seed_variance([[0.8]], 100) == UNKNOWN


def test_the_error_of_seeds_is_on_the_side_of_the_selected_one() -> None:
    ours, theirs = (
        np.repeat(np.array(accuracies)[:, None], 10_000, axis=1)
        for accuracies in ([0.7, 0.8, 0.9], [0.4, 0.5, 0.6])
    )
    error = math.sqrt(2 * 0.01 / 3)
    for of, tails in ((1, 2), (2, 2), (4, 4)):
        found = compare_selected(ours, theirs, of)
        assert found.p == pytest.approx(tails * t.sf(0.3 / error, 4), rel=1e-3)
        assert found.interval.high == pytest.approx(0.3 + t.isf(0.05 / tails, 4) * error, rel=1e-3)
    known = compare_selected(ours, theirs, 4, SeedVariance(0.04, 8))
    assert known.p == pytest.approx(4 * t.sf(0.3 / (2 * error), 8), rel=1e-3)


def test_a_difference_of_three_standard_errors_is_found() -> None:
    random, n, seeds = np.random.default_rng(2), 800, 5

    def measure(skill: float, times: int) -> list[tuple[float, float]]:
        found = []
        for _ in range(times):
            easy, luck = random.normal(0, 1, n), np.zeros(seeds)
            sides = make_runs(random, easy, luck, skill), make_runs(random, easy, luck)
            difference = compare_selected(*sides, of=1)
            found.append((difference.interval.value, difference.p))
        return found

    gaps = [gap for gap, _ in measure(SKILL, 300)]
    spread = math.sqrt(1 + OWN**2 + NOISE**2)
    lead = norm.ppf(find_truth(0) + 3 * np.std(gaps)) * spread
    assert np.mean([p < 0.05 for _, p in measure(float(lead), 300)]) >= 0.8 - 2 * 0.023


@pytest.mark.parametrize(("spread", "own"), [(0.25, OWN), (0.0, 1.0)])
def test_the_probability_of_being_better_has_its_value_and_coverage(
    spread: float, own: float
) -> None:
    random, n, skills = np.random.default_rng(4), 200, (SKILL + 0.3, SKILL)

    def make_pair(seeds: int) -> list[np.ndarray]:
        easy, luck = random.normal(0, 1, n), random.normal(0, spread, (2, seeds))
        return [make_runs(random, easy, luck[i], skills[i], own) for i in range(2)]

    gaps = [one.mean() - two.mean() for one, two in (make_pair(1) for _ in range(4000))]
    truth = float(np.mean(np.array(gaps) > 0) + np.mean(np.array(gaps) == 0) / 2)
    values, covered = [], 0
    for _ in range(EXPERIMENTS):
        found = probability_better(*make_pair(5))
        values.append(found.value)
        covered += found.low <= truth <= found.high
    assert np.median(values) == pytest.approx(truth, abs=0.05)
    assert 0.91 <= covered / EXPERIMENTS <= 0.99


def test_values_by_hand() -> None:
    right, wrong = np.ones((3, 50)), np.zeros((3, 50))
    all_right = accuracy_over_seeds(right)
    assert all_right.value == all_right.high == 1.0
    assert all_right.low == pytest.approx(50 / (50 + norm.ppf(0.975) ** 2))  # Wilson, 50 of 50
    assert accuracy_over_seeds(wrong).low == 0.0
    assert not accuracy_over_seeds(right[:2]).is_known  # two runs have no interval
    same = compare_selected(right, right, of=1)
    assert same.p == 1.0
    assert same.interval.low < 0 < same.interval.high  # that all runs agree is no certainty
    assert not compare_selected(right[:2], right, of=1).interval.is_known
    one = right.copy()
    one[:, 0] = 0  # all three runs miss one example of 50
    assert compare_selected(right, one, of=1).p > 0.05
    assert compare_selected(right, wrong, of=1).p < 1e-6
    assert compare_selected(wrong, right, of=1).interval.value == -1.0
    with pytest.raises(ValueError, match="at least two"):
        compare_selected(right[:1], right, of=1)
    assert not probability_better(right, right).is_known
    assert not probability_better(right[:2], one[:2]).is_known
