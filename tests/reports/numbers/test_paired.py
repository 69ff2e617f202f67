"""Tests of differences against scipy, hand-computed values and the formulas themselves."""

import math

import numpy as np
import pytest
from scipy.stats import bootstrap, chi2, ttest_ind, ttest_rel

from reports.numbers.paired import (
    adjust_p_values,
    compare_correct,
    compare_over_seeds,
    mcnemar,
    paired_bootstrap,
)


def make_disagreement(
    first: int, second: int, agreeing: int = 50
) -> tuple[np.ndarray, np.ndarray]:
    ours = np.r_[np.ones(first), np.zeros(second), np.ones(agreeing)].astype(bool)
    theirs = np.r_[np.zeros(first), np.ones(second), np.ones(agreeing)].astype(bool)
    return ours, theirs


@pytest.mark.parametrize(("first", "second"), [(12, 3), (3, 12), (7, 6), (1, 0), (40, 71)])
def test_mcnemar_is_the_mid_p_value_of_its_definition(first: int, second: int) -> None:
    # Twice the smaller binomial tail, in which the observed count itself is counted half.
    n, fewer = first + second, min(first, second)
    tail = sum(math.comb(n, k) for k in range(fewer)) + math.comb(n, fewer) / 2
    assert mcnemar(*make_disagreement(first, second)) == pytest.approx(2 * tail / 2**n)


def test_mcnemar_by_hand() -> None:
    # 1 of 6 disagreements: (1 + 6 / 2) / 64, twice.
    assert mcnemar(*make_disagreement(5, 1)) == pytest.approx(0.125)


def test_mcnemar_of_many_is_chi_squared() -> None:
    reference = chi2.sf((1100 - 1250) ** 2 / (1100 + 1250), df=1)
    assert mcnemar(*make_disagreement(1100, 1250)) == pytest.approx(reference, rel=0.01)


@pytest.mark.parametrize("count", [0, 5])
def test_mcnemar_of_equal_counts_is_one(count: int) -> None:
    assert mcnemar(*make_disagreement(count, count)) == 1


def test_mcnemar_keeps_its_level() -> None:
    # Mid-p may exceed its level slightly; the exact test stays far below it.
    random = np.random.default_rng(0)
    wins = random.binomial(30, 0.5, 2000)
    p_values = {k: mcnemar(*make_disagreement(int(k), 30 - int(k), 0)) for k in np.unique(wins)}
    assert 0.03 < np.mean([p_values[k] < 0.05 for k in wins]) < 0.06


def test_the_paired_bootstrap_is_that_of_scipy() -> None:
    values = np.random.default_rng(0).exponential(1, 300)
    found = paired_bootstrap(values, resamples=20_000)
    reference = bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=1
    ).confidence_interval
    width = reference.high - reference.low
    assert found.value == pytest.approx(values.mean())
    assert found.low == pytest.approx(reference.low, abs=0.03 * width)
    assert found.high == pytest.approx(reference.high, abs=0.03 * width)


def test_the_bootstrap_is_reproducible_and_unknown_without_variance() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert paired_bootstrap(values) == paired_bootstrap(values)
    same = paired_bootstrap(np.full(50, 0.5))
    assert same.value == 0.5
    assert not same.is_known


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [(4, 0, None, None), (2, 2, None, None), (6, 1, -0.00144, 0.02914), (12, 3, 0.00337, 0.04650)],
)
def test_a_gain_in_accuracy_is_that_of_agresti_and_min(
    first: int, second: int, low: float | None, high: float | None
) -> None:
    found = compare_correct(*make_disagreement(first, second, 359 - first - second))
    assert found.interval.value == pytest.approx((first - second) / 359)
    assert found.p == mcnemar(*make_disagreement(first, second))
    # By hand: (5 ± 1.96 × sqrt(8 - 25 / 361)) / 361 and (9 ± 1.96 × sqrt(16 - 81 / 361)) / 361.
    if low is None:  # too few disagreements
        assert not found.interval.is_known
    else:
        assert (found.interval.low, found.interval.high) == pytest.approx((low, high), abs=1e-5)


def test_without_seed_variance_it_is_the_paired_t_test_over_examples() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(0.3, 1, 80), random.normal(0, 1, 80)
    found = compare_over_seeds(np.stack([a, a, a]), np.stack([b, b]))
    reference = ttest_rel(a, b)
    assert found.p == pytest.approx(reference.pvalue)
    low, high = reference.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((low, high))


def test_without_example_variance_it_is_welchs_t_test_over_seeds() -> None:
    random = np.random.default_rng(1)
    a, b = random.normal(1, 1, (5, 1)), random.normal(0, 2, (4, 1))
    found = compare_over_seeds(np.repeat(a, 30, axis=1), np.repeat(b, 30, axis=1))
    assert found.p == pytest.approx(ttest_ind(a[:, 0], b[:, 0], equal_var=False).pvalue)


def test_differences_without_variance_and_too_few_seeds() -> None:
    ones, zeros = np.ones((2, 9)), np.zeros((2, 9))
    assert compare_over_seeds(ones, zeros).p == 2 * 0.5**9
    assert not compare_over_seeds(ones, zeros).interval.is_known
    assert compare_over_seeds(ones, ones).p == 1
    with pytest.raises(ValueError, match="1 and 2 seeds"):
        compare_over_seeds(ones[:1], ones)


def test_holm_by_hand() -> None:
    # 5 * 0.01, 4 * 0.012, 3 * 0.03, 2 * 0.04, 1 * 0.9, none below the one before it.
    assert adjust_p_values([0.04, 0.01, 0.03, 0.9, 0.012]) == pytest.approx(
        [0.09, 0.05, 0.09, 0.9, 0.05]
    )
    assert adjust_p_values([0.6, 0.7]) == [1, 1]
    assert adjust_p_values([]) == []


@pytest.mark.parametrize("level", [0.05, 0.2, 0.6])
def test_holm_rejects_what_the_step_down_procedure_rejects(level: float) -> None:
    family = np.random.default_rng(3).beta(0.5, 2, 12)
    rejected = set()
    for step, i in enumerate(np.argsort(family)):
        if family[i] > level / (len(family) - step):
            break
        rejected.add(int(i))
    assert rejected  # else the level says nothing
    assert {i for i, p in enumerate(adjust_p_values(list(family))) if p <= level} == rejected
