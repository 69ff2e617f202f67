"""The arms of a search that tuned them: best trials, re-runs, groups and the order by budget."""

import itertools
import random

import pytest

from reports.chapters.comparison.arms import find_arms, find_letters, find_stable_budget
from reports.chapters.comparison.groups import Group
from reports.chapters.comparison.pairs import Pair
from reports.numbers.statistics import Interval
from tests.support.make_search import make_search, make_trial
from tests.support.tuned_arms import make_tuned


def test_an_arm_has_its_trials_and_the_re_runs_of_its_best() -> None:
    scores = {"sgd": [0.8, 0.9, 0.7], "adam": [0.85, None, 0.84]}
    sgd, adam = find_arms(make_tuned(scores, {2: [0.88, 0.89], 1: [0.83], 0: [0.1]}))
    assert [t.number for t in sgd.tried] == [0, 2, 4]
    assert sgd.best is not None
    assert sgd.best.number == 2
    assert adam.best is not None
    assert adam.best.number == 1
    assert (sgd.group.values, adam.group.values) == (("sgd",), ("adam",))
    assert (sgd.group.scores, adam.group.scores) == ([0.89, 0.88], [0.83])
    assert find_arms(make_search(make_trial(0), compare=("optimizer",))) == []


def test_an_arm_without_a_complete_trial_has_no_best() -> None:
    lost, _ = find_arms(make_tuned({"sgd": [None, None], "adam": [0.8, 0.9]}, {}))
    assert (lost.best, lost.group.trials) == (None, ())


@pytest.mark.parametrize("seed", range(20))
def test_groups_share_a_letter_exactly_if_they_do_not_differ(seed: int) -> None:
    draw = random.Random(seed)
    groups = [Group((f"{i}",), (make_trial(i),), (make_trial(i),)) for i in range(6)]
    gap = Interval(0.1, 0.0, 0.2, 4)
    found = [
        Pair(one, two, gap, 0.5, p=draw.choice([0.01, 0.5]))
        for one, two in itertools.combinations(groups, 2)
    ]
    letters = find_letters(groups, found)
    for pair in found:
        one, two = (set(letters[g.values].split()) for g in (pair.first, pair.second))
        assert bool(one & two) != pair.is_significant


def test_a_group_that_was_not_tested_has_no_letter() -> None:
    groups = [Group((f"{i}",), (make_trial(i),), (make_trial(i),)) for i in range(3)]
    pair = Pair(groups[0], groups[1], Interval(0.1, 0.0, 0.2, 4), 0.5)
    assert find_letters(groups, [pair]) == {("0",): "a", ("1",): "a"}
    assert find_letters(groups, []) == {}


@pytest.mark.parametrize(
    ("curves", "ordered", "stable"),
    [
        ([[1, 2, 3], [0, 1, 2]], [(0, 1)], 1),
        ([[1, 2, 3], [2, 2, 2]], [(0, 1)], 2),  # equal at 2
        ([[0, 1, 3], [1, 2, 2]], [(0, 1)], 3),
        ([[0, 1, 3], [1, 2, 2]], [(1, 0)], None),  # new seeds have another order
        ([[5, 5, 5], [5, 5, 5]], [(0, 1)], 1),
        ([[0, 3, 3, 3], [1, 1, 4, 4], [2, 2, 2, 5]], [(2, 1), (2, 0), (1, 0)], 4),
        ([[0, 3, 3, 3], [1, 1, 4, 4], [2, 2, 2, 5]], [(1, 0)], 3),
    ],
)
def test_the_order_is_stable_from_the_budget_after_its_last_change(
    curves: list[list[float]], ordered: list[tuple[int, int]], stable: int | None
) -> None:
    assert find_stable_budget(curves, ordered) == stable
