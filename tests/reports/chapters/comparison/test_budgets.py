"""Whether the order of the arms depends on the budget."""

import dataclasses

from reports.chapters.budget import median_best
from reports.chapters.comparison.arms import find_arms
from reports.chapters.comparison.budgets import UNTESTED, describe_budgets
from reports.chapters.comparison.pairs import Pair
from reports.numbers.statistics import Interval
from reports.records import Search
from tests.support.tuned_arms import make_tuned


def describe(search: Search, sampler: str, better: int | None = None) -> str:
    """Describe the budgets where the arm `better`, if any, is so on new seeds."""
    search = dataclasses.replace(search, tags={"sampler": sampler})
    arms = find_arms(search)
    order = [arms[better or 0].group, arms[1 - (better or 0)].group]
    p = 1.0 if better is None else 0.001
    text = describe_budgets(search, arms, [Pair(*order, Interval(0.1, 0.05, 0.15, 6), p, p)])
    assert text is not None
    return text


def test_the_best_so_far_is_shown_for_a_sampler_that_learns() -> None:
    search = make_tuned({"sgd": [0.6, 0.7, 0.95], "adam": [0.8, 0.9, None]}, {})
    text = describe(search, "tpe", 0)
    assert "1 pair that differs on new seeds depends on the budget: " in text
    assert UNTESTED in text
    assert "changes up to the last of the 3 trials" in text
    assert "is another one with all 3 trials" in describe(search, "tpe", 1)
    assert "| sgd | 60.00 % | 70.00 % | 95.00 % |" in text
    assert "| adam | 80.00 % | 90.00 % | 90.00 % |" in text
    assert "cannot be estimated" in text
    text = describe(make_tuned({"sgd": [0.6, 0.85, 0.9], "adam": [0.8, 0.8, 0.8]}, {}), "tpe", 0)
    assert "the same from 2 trials per arm on, up to the 3" in text
    search = make_tuned({"sgd": [0.6, 0.7], "adam": [0.8, 0.9]}, {})
    assert "is the same for every budget from 1 to 2 trials" in describe(search, "tpe", 1)


def test_no_order_is_claimed_of_arms_that_cannot_be_told_apart() -> None:
    search = make_tuned({"sgd": [0.6, 0.7], "adam": [0.8, 0.9]}, {})
    text = describe(search, "tpe")
    assert "No order of the arms is claimed for any budget" in text
    assert "**" not in text


def test_the_median_best_is_shown_for_random_trials() -> None:
    scores = {"sgd": [0.1 * i for i in range(1, 10)], "adam": [0.05 * i for i in range(1, 10)]}
    text = describe(make_tuned({**scores}, {}), "random")
    drawn = scores["sgd"][1:]  # the arm's own configuration, which comes first, is not random
    low, middle, high = median_best(drawn, [1])[:, 0] * 100
    assert f"| sgd | {middle:.2f} % ({low:.2f} to {high:.2f} %) |" in text
    assert f"| {median_best(drawn, [3])[1, 0] * 100:.2f} %" in text
    assert "the best of k random trials in the median" in text


def test_too_few_trials_say_nothing_of_the_budget() -> None:
    search = make_tuned({"sgd": [0.6, 0.7, 0.8], "adam": [0.8, 0.9, 0.7]}, {})
    random = dataclasses.replace(search, tags={"sampler": "random"})
    assert describe_budgets(random, find_arms(random), []) is None
    none = make_tuned({"sgd": [None, None], "adam": [0.8, 0.9]}, {})
    assert describe_budgets(none, find_arms(none), []) is None
