"""Statistics against hand-computed cases and simulation."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest

from reports.numbers.statistics import (
    align_rows,
    is_finite,
    mean_interval,
    rank_by,
    sample_evenly,
    smooth,
    thin_out,
    wilson_interval,
)


def test_runs_that_agree_have_no_interval() -> None:
    # 351 of 359 twice: the next seed may well be at 350 or 352.
    assert not mean_interval([351 / 359, 351 / 359]).is_known
    assert not mean_interval([0.9]).is_known
    found = mean_interval([0.90, 0.92])
    half = 0.01 * math.tan(0.475 * math.pi)  # Student's t with one degree of freedom
    assert (found.low, found.high) == pytest.approx((0.91 - half, 0.91 + half))


@pytest.mark.parametrize(("correct", "n"), [(3900, 3999), (1, 10), (5, 5), (0, 7)])
def test_wilson_is_scipys(correct: int, n: int) -> None:
    got = wilson_interval(correct, n)
    low, high = binomtest(correct, n).proportion_ci(method="wilson")
    assert got.low == pytest.approx(low, abs=1e-12)
    assert got.high == pytest.approx(high, abs=1e-12)
    assert 0 <= got.low <= got.value <= got.high <= 1


def test_wilson_covers_95_per_cent() -> None:
    draws, n, p = 2000, 400, 0.94
    correct = np.random.default_rng(0).binomial(n, p, draws)
    intervals = {k: wilson_interval(int(k), n) for k in np.unique(correct)}
    covered = sum(intervals[k].low <= p <= intervals[k].high for k in correct)
    assert 0.93 <= covered / draws <= 0.97


@pytest.mark.parametrize(("correct", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_an_impossible_proportion_is_rejected(correct: int, n: int) -> None:
    with pytest.raises(ValueError, match=f"{correct} of {n}"):
        wilson_interval(correct, n)


def test_rows_are_aligned_by_id() -> None:
    ids, wanted = np.array([7, 5, 9]), np.array([9, 7, 5])
    assert list(ids[align_rows(ids, wanted)]) == [9, 7, 5]


def test_ids_that_do_not_match_are_rejected() -> None:
    with pytest.raises(ValueError, match="1 of 2 examples have no prediction, 1 predictions"):
        align_rows(np.array([1, 2]), np.array([1, 3]))
    with pytest.raises(ValueError, match="more than once"):
        align_rows(np.array([1, 1]), np.array([1, 3]))


def test_infinity_as_databases_store_it_is_not_finite() -> None:
    assert is_finite(-3.5)
    assert not any(map(is_finite, (None, math.nan, math.inf, 1.7976931348623157e308)))


def test_ties_stay_in_their_order() -> None:
    items = [(0, 1.0), (1, 2.0), (2, 2.0), (3, 0.5)]
    assert [i for i, _ in rank_by(items, lambda item: item[1], "max")] == [1, 2, 0, 3]
    assert [i for i, _ in rank_by(items, lambda item: item[1], "min")] == [3, 0, 1, 2]


def test_thinning_keeps_the_best_and_the_last() -> None:
    assert thin_out(range(5), 10) == [0, 1, 2, 3, 4]
    kept = thin_out(range(1000), 20)
    assert kept[:10] == list(range(10))
    assert kept[-1] == 999
    assert len(set(kept)) == 20


def test_smoothing_keeps_a_quadratic_and_reduces_noise() -> None:
    x = np.arange(40.0)
    result = smooth(list(x**2))
    assert result is not None
    assert result == pytest.approx(x**2)
    noise = np.random.default_rng(0).normal(size=40)
    reduced = smooth(list(noise))
    assert reduced is not None
    assert reduced.std() < 0.7 * noise.std()
    assert smooth(list(noise[:19])) is None  # too short


def test_an_even_sample_keeps_both_ends() -> None:
    assert sample_evenly(range(5), 5) == [0, 1, 2, 3, 4]
    assert sample_evenly(range(101), 11) == list(range(0, 101, 10))
