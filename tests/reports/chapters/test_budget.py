"""The expected best of k trials: against all subsets, and its interval by simulation."""

from itertools import combinations

import numpy as np
import pytest

from reports.chapters.budget import (
    expected_best,
    find_random_scores,
    jackknife_interval,
    write_section,
)
from tests.support.make_search import make_search, make_trial


def test_it_is_the_mean_over_all_subsets() -> None:
    scores = np.random.default_rng(0).normal(size=9)
    for k in range(1, 10):
        brute = np.mean([max(some) for some in combinations(scores, k)])
        assert expected_best(scores, [k])[0] == pytest.approx(brute, abs=1e-12)


def test_it_does_not_overflow_with_thousands_of_trials() -> None:
    scores = np.random.default_rng(0).random(5000)
    found = expected_best(scores, [1, 2, 2500, 5000])
    assert found[0] == pytest.approx(scores.mean())
    assert found[3] == scores.max()
    assert list(found) == sorted(found)


def test_the_interval_is_the_jackknife() -> None:
    scores = np.random.default_rng(1).random(12)
    left_out = np.array([expected_best(np.delete(scores, j), [3])[0] for j in range(12)])
    error = np.sqrt(11 / 12 * np.sum((left_out - left_out.mean()) ** 2))
    low, high = jackknife_interval(scores, [3])
    assert (high - low)[0] == pytest.approx(2 * 2.2009851600 * error, rel=1e-8)  # t of 11 degrees


@pytest.mark.parametrize("k", [1, 5, 10])
def test_the_interval_has_its_coverage(k: int) -> None:
    rng = np.random.default_rng(k)
    truth = k / (k + 0.25)  # the largest of k values u^(1/4), u uniform
    covered = 0
    for _ in range(2000):
        low, high = jackknife_interval(rng.random(100) ** 0.25, [k])
        covered += bool(low[0] <= truth <= high[0])
    assert 0.93 <= covered / 2000 <= 0.97


@pytest.mark.parametrize("k", [0, 4])
def test_an_impossible_budget_is_rejected(k: int) -> None:
    with pytest.raises(ValueError, match=f"a budget of {k} trials is not between 1 and 3"):
        expected_best([0.1, 0.2, 0.3], [k])


def test_only_random_trials_count_and_failed_ones_as_the_worst() -> None:
    made = make_search(
        make_trial(0, 0.99),  # the default configuration
        make_trial(1, 0.5),
        make_trial(2, None, outcome="diverged"),
        make_trial(3, 0.7, outcome="stopped"),
        make_trial(4, 0.8, outcome="unfinished"),
        make_trial(5, 0.95, outcome="diverged"),  # which the search would not let win
    )
    assert list(find_random_scores(made)) == [0.5, 0.5, 0.7, 0.5]
    worst_high = make_search(
        make_trial(0),
        make_trial(1, 0.5),
        make_trial(2, None, outcome="failed"),
        make_trial(3, 0.7),
        mode="min",
    )
    assert list(find_random_scores(worst_high)) == [0.5, 0.7, 0.7]


def test_the_text_depends_on_the_sampler() -> None:
    trials = [make_trial(i, 0.5 + i / 100) for i in range(12)]
    said = {
        sampler: write_section(make_search(*trials, tags={"sampler": sampler}))
        for sampler in ("random", "qmc", "tpe")
    }
    for sampler, text in said.items():
        assert text is not None
        assert ("the estimator assumes random trials" in text.text) == (sampler == "tpe")
        assert ("over its 11 random trials" in text.text) == (sampler != "tpe")
        assert set(text.figures) == {"budget"}
    few = write_section(make_search(*trials[:4], tags={"sampler": "random"}))
    assert few is not None
    assert "needs 8 random trials; there are 3" in few.text
    assert write_section(make_search(trials[0])) is None
