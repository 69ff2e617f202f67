"""The best of k trials in the median: by hand, and its interval by simulation."""

import numpy as np
import pytest

from reports.chapters.budget import find_random_scores, median_best, write_section
from tests.benchmarks.calibration.searches import measure_budget_coverage
from tests.support.make_search import make_search, make_trial


def test_the_median_of_one_trial_has_the_interval_of_order_statistics() -> None:
    # Of 6 scores, all are below the median, or all above it, with probability 1 / 64 each.
    scores = np.arange(6.0)
    low, middle, high = median_best(scores, [1], (1 / 64, 0.5, 63 / 64))[:, 0]
    assert (low, middle, high) == pytest.approx((0, 2.5, 5))


def test_too_few_trials_have_no_interval() -> None:
    low, middle, high = median_best(np.random.default_rng(0).random(40), [1, 7, 8, 40])
    assert np.isfinite(low).all()
    assert np.isfinite(middle).all()
    assert np.isfinite(high).tolist() == [True, True, False, False]  # 0.5 ** (40 / 8) > 0.025
    assert (np.diff(middle) > 0).all()


@pytest.mark.parametrize("kind", ["skewed", "some fail", "few good"])
@pytest.mark.parametrize(("n", "k"), [(40, 1), (40, 5), (100, 10)])
def test_the_interval_has_its_coverage(kind: str, n: int, k: int) -> None:
    found = measure_budget_coverage(kind, n, k, experiments=1000)
    assert 0.93 <= found.value <= 0.98


@pytest.mark.parametrize("k", [0, 4])
def test_an_impossible_budget_is_rejected(k: int) -> None:
    with pytest.raises(ValueError, match=f"a budget of {k} trials is not between 1 and 3"):
        median_best([0.1, 0.2, 0.3], [k])


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
        assert ("the estimator assumes independent trials" in text.text) == (sampler != "random")
        assert ("from its 11 random trials" in text.text) == (sampler == "random")
        assert set(text.figures) == {"budget"}
    few = write_section(make_search(*trials[:4], tags={"sampler": "random"}))
    assert few is not None
    assert "needs 8 random trials; there are 3" in few.text
    assert write_section(make_search(trials[0])) is None


def test_the_median_best_of_all_trials_is_the_best_one() -> None:
    for n in range(8, 100):
        scores = np.random.default_rng(n).random(n)
        assert median_best(scores, [n])[1, 0] == scores.max()
