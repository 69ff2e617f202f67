"""The arms of a space that agree with the values that a search fixes."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.sampling.agreeing_arms import find_agreeing_arms, find_lone_arm, fix_lone_arm
from cluster.sampling.initial_trials import plan_initial_trials
from searchspaces.space import SearchSpace

Change = Callable[..., SearchSpace[Any]]
ARMS = (
    {"momentum": False, "width": 1},
    {"momentum": False, "width": 3},
    {"momentum": True, "learning_rate": 0.2},
)


@pytest.fixture
def tuned(change: Change) -> SearchSpace[Any]:
    """Return a space that tunes three arms, of which one leaves its width to the default, 2."""
    return change(arms=ARMS, compare=("momentum", "width"), tune_arms=4)


def test_a_fixed_value_leaves_the_arms_that_have_it(tuned: SearchSpace[Any]) -> None:
    assert find_agreeing_arms(tuned, {}) == list(ARMS)
    assert find_agreeing_arms(tuned, {"learning_rate": 0.3}) == list(ARMS)
    assert find_agreeing_arms(tuned, {"momentum": False}) == list(ARMS[:2])


def test_a_fixed_value_that_no_arm_has_leaves_them_all(tuned: SearchSpace[Any]) -> None:
    assert find_agreeing_arms(tuned, {"width": 4}) == list(ARMS)


@pytest.mark.parametrize("fixed", [{"momentum": True}, {"width": 2}])
def test_an_arm_that_is_left_alone_is_searched(
    tuned: SearchSpace[Any], fixed: dict[str, Any]
) -> None:
    assert find_agreeing_arms(tuned, fixed) == []
    assert find_lone_arm(tuned, fixed) == ARMS[2]
    assert fix_lone_arm(tuned, fixed) == {"momentum": True, **fixed}
    default, known = plan_initial_trials(tuned, fix_lone_arm(tuned, fixed), 3)
    assert default.parameters["learning_rate"] == 0.1
    assert known.parameters["learning_rate"] == 0.2


def test_an_arm_with_nothing_to_search_is_repeated(tuned: SearchSpace[Any]) -> None:
    fixed = {"momentum": False, "width": 1, "learning_rate": 0.1}
    assert find_agreeing_arms(tuned, fixed) == [ARMS[0]]
    assert fix_lone_arm(tuned, fixed) == fixed


def test_arms_that_are_not_tuned_are_repeated_on_seeds(change: Change) -> None:
    space = change(arms=ARMS, compare=("momentum", "width"))
    assert find_agreeing_arms(space, {"momentum": True}) == [ARMS[2]]
    assert [t.fixed["seed"] for t in plan_initial_trials(space, {"momentum": True}, 3)] == [
        0,
        1,
        2,
    ]
