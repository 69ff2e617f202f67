"""Comparison of means over seeds: against scipy, by hand, and its level in simulation."""

import numpy as np
import pytest
from scipy.stats import permutation_test, studentized_range, ttest_ind
from scipy.stats import t as student

from reports.numbers.means import bound_all_pairs, compare_means, explain_refusal
from tests.benchmarks.calibration.means import (
    find_pooled_power,
    measure_familywise_error,
    measure_power,
)


def test_two_groups_of_equal_size_are_welchs_t_test() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(1, 1, 5), random.normal(0, 3, 5)
    (found,) = compare_means([a.tolist(), b.tolist()])
    reference = ttest_ind(a, b, equal_var=False)
    assert found.difference.p == pytest.approx(reference.pvalue)
    assert found.p == found.difference.p
    low, high = reference.confidence_interval()
    assert (found.difference.interval.low, found.difference.interval.high) == pytest.approx(
        (low, high)
    )


def test_a_pair_that_agrees_by_chance_has_the_pooled_variance() -> None:
    # Variances 0, 0 and 1 with 2 degrees of freedom each: pooled 1 / 3.
    found = compare_means([[2.0, 2.0, 2.0], [0.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    first = found[0].difference.interval
    half = 2.446911851144969 * np.sqrt(1 / 3 * 2 / 3)  # Student's t with 6 degrees of freedom
    assert (first.low, first.high) == pytest.approx((2 - half, 2 + half))


def test_a_pair_of_more_variance_than_the_others_has_its_own_and_half_of_their_freedom() -> None:
    # Variances 9, 9 and 1: a standard error of sqrt(6), with 4 + 2 / 2 degrees of freedom.
    found = compare_means([[-3.0, 0.0, 3.0], [7.0, 10.0, 13.0], [-1.0, 0.0, 1.0]])[0].difference
    half = 2.570581835636197 * np.sqrt(6)  # Student's t with 5 degrees of freedom
    assert (found.interval.low, found.interval.high) == pytest.approx((-10 - half, -10 + half))
    assert found.p == pytest.approx(2 * student.sf(10 / np.sqrt(6), 5))


def test_a_pair_of_three_groups_is_corrected_for_all_three() -> None:
    # Two groups are equal, the third is 2.6 standard errors away, with 18 + 9 / 2 degrees of
    # freedom; the permutation test of all groups has p = 0.02, so that it is Tukey's that counts.
    scores = np.linspace(-1, 1, 10)
    scores /= scores.std(ddof=1)
    far = scores + 2.6 * np.sqrt(2 / 10)
    found = compare_means([scores.tolist(), scores.tolist(), far.tolist()])
    expected = studentized_range.sf(2.6 * np.sqrt(2), 3, 22.5)
    assert [c.p for c in found] == pytest.approx([1, expected, expected], abs=5e-4)
    assert found[1].difference.p < expected < 3 * found[1].difference.p


def test_neighbouring_scores_are_no_difference() -> None:
    one, two = [351 / 359] * 3, [350 / 359] * 3
    (found,) = compare_means([one, two], step=1 / 359)
    # The gap of one example, of a variance of a quarter: t = sqrt(6) with 4 degrees of freedom.
    assert found.p == pytest.approx(0.0705, abs=1e-4)


def test_one_large_difference_among_equal_groups_is_found_alone() -> None:
    scores = np.random.default_rng(2).normal(0, 1, (6, 3))
    scores[2] += 12
    differ = {(c.first, c.second) for c in compare_means(scores.tolist()) if c.p < 0.05}
    assert differ == {(0, 2), (1, 2), (2, 3), (2, 4), (2, 5)}


def test_the_bound_of_all_pairs_is_the_studentized_range_of_scipy() -> None:
    distances = np.array([0.0, 1.0, 2.5, 3.36, 5.0, 9.0])
    for groups, freedom in ((3, 4.0), (6, 12.0), (10, 2.3), (40, 80.0)):
        found = bound_all_pairs(distances, groups, np.full(6, freedom))
        assert found == pytest.approx(
            studentized_range.sf(distances * np.sqrt(2), groups, freedom), abs=5e-4
        )


def test_pairs_are_corrected_in_steps_by_the_smaller_of_tukeys_and_holms_corrections() -> None:
    # Of equal variances all pairs have 6 degrees of freedom, and distances of 6, 6 and 0 errors.
    error = np.sqrt(2 / 3)
    first, second, third = ([m - 1, m, m + 1] for m in (0.0, 0.0, 4 * error))
    near, far, other = compare_means([first, second, third])
    tukey = studentized_range.sf(4 * np.sqrt(2), 3, 6)
    groups = [np.array(g) for g in (first, second, third)]
    overall = permutation_test(
        groups,
        lambda *samples, axis: sum(s.mean(axis=axis) ** 2 for s in samples),
        vectorized=True,
        alternative="greater",
        n_resamples=4999,
        rng=1,
    )
    assert tukey < 3 * far.difference.p
    assert (near.p, near.difference.interval.value) == (1.0, 0.0)
    assert far.p == other.p
    assert far.p == pytest.approx(max(tukey, overall.pvalue), abs=5e-3)


def test_no_pair_differs_where_an_exchange_of_the_runs_explains_the_groups() -> None:
    # Half of the runs are dead: by Student's t alone 8 % of three such groups differ.
    alive = [0.95, 0.951, 0.949]
    found = compare_means([alive, [0.2, 0.2, 0.2], [0.2, 0.95, 0.2]])
    assert found[0].difference.p < 0.05 <= found[0].p


@pytest.mark.parametrize(
    ("groups", "reason"),
    [
        ([[1.0, 2.0]], "two complete runs of at least two rows"),
        ([[1.0, 2.0, 3.0], [1.0]], "two complete runs of at least two rows"),
        ([[1.0, 2.0], [3.0, 4.0]], "4 runs in 2 rows are too few for a test: it needs 3 seeds"),
        ([[1.0, 2.0], [3.0, 4.0, 5.0, 6.0, 7.0]], "the rows have 2 to 5 runs: fewer than 5"),
        ([[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], "the spread of the runs is unknown"),
    ],
)
def test_where_nothing_can_be_said_nothing_is(groups: list[list[float]], reason: str) -> None:
    assert reason in (explain_refusal(groups) or "")
    with pytest.raises(ValueError, match="row"):
        compare_means(groups)


@pytest.mark.parametrize("kind", ["normal", "skewed", "tied", "half dead", "unequal"])
@pytest.mark.parametrize(("arms", "seeds"), [(2, 3), (3, 3), (6, 2)])
def test_equal_groups_differ_in_no_more_than_5_per_cent(kind: str, arms: int, seeds: int) -> None:
    found = measure_familywise_error(kind, arms, seeds, 359, experiments=400)
    assert found.value <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / found.n)


@pytest.mark.parametrize("kind", ["normal", "tied", "half dead"])
def test_equal_groups_beside_a_better_one_differ_in_no_more_than_5_per_cent(kind: str) -> None:
    # The permutation test of all groups does not protect these: the pairs' own tests do.
    found = measure_familywise_error(kind, 3, 3, 359, experiments=400, better=1)
    assert found.value <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / found.n)


def test_ten_seeds_find_three_standard_errors_and_fewer_cannot() -> None:
    # The power of Student's t-test, which no unbiased test of this level exceeds.
    most = [find_pooled_power(2, seeds, 3) for seeds in (3, 5, 8, 9, 10)]
    assert most == pytest.approx([0.619, 0.748, 0.797, 0.804, 0.810], abs=1e-3)
    for seeds, power in zip((5, 10), (most[1], most[-1]), strict=True):
        found = measure_power(2, seeds, 3, experiments=1000)
        assert power - 0.03 - 3 * found.get_error() <= found.value <= power + 3 * found.get_error()
