"""What the arms of a search fix, and where their tuning starts."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from cluster.sampling.arms import Arm, plan_arms
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Change = Callable[..., SearchSpace[Any]]
ARMS = ({"momentum": False, "width": 3}, {"momentum": True, "learning_rate": 0.2})


def test_an_arm_fixes_what_is_compared_and_starts_from_the_rest(change: Change) -> None:
    space = change(arms=ARMS, compare=("momentum",))
    assert plan_arms(space, {}) == [
        ({"momentum": False}, {"width": 3}),
        ({"momentum": True}, {"learning_rate": 0.2}),
    ]
    assert plan_arms(space, {"width": 1}) == [
        ({"momentum": False}, {}),
        ({"momentum": True}, {"learning_rate": 0.2}),
    ]
    assert len(plan_arms(space, {"momentum": True})) == 1


def test_a_compared_value_that_an_arm_does_not_name_is_the_default(change: Change) -> None:
    space = change(arms=ARMS, compare=("momentum", "width"))
    assert [fixed for fixed, _ in plan_arms(space, {})] == [
        {"momentum": False, "width": 3},
        {"momentum": True, "width": 2},
    ]


def test_without_compared_hyperparameters_an_arm_fixes_all_it_names(change: Change) -> None:
    assert plan_arms(change(arms=ARMS), {}) == [(arm, {}) for arm in ARMS]


def test_arms_that_cannot_be_tuned_are_rejected(change: Change) -> None:
    same = change(arms=({"momentum": True, "width": 1}, {"momentum": True}), compare=("momentum",))
    with pytest.raises(UserError, match="two arms of trivial have the same momentum"):
        plan_arms(same, {})
    space = change(arms=ARMS, compare=("momentum",))
    with pytest.raises(UserError, match="leave no hyperparameter to tune"):
        plan_arms(space, {"width": 1, "learning_rate": 0.1})

    @dataclass(frozen=True)
    class Config:
        momentum: bool = False

    unseeded = change(
        config=Config, arms=({"momentum": False}, {"momentum": True}), suggest=lambda trial: {}
    )
    with pytest.raises(UserError, match="no field `seed`"):
        plan_arms(unseeded, {})


def test_the_trials_of_arms_take_turns_by_number() -> None:
    arms = [Arm({}, {}, number, 3) for number in range(3)]
    assert [[arm.to_trial(n) for n in range(3)] for arm in arms] == [
        [0, 3, 6],
        [1, 4, 7],
        [2, 5, 8],
    ]
    for trial in range(9):
        (arm,) = [arm for arm in arms if arm.has_trial(trial)]
        assert arm.to_trial(arm.to_number(trial)) == trial
    assert (Arm().to_trial(5), Arm().to_number(5), Arm().tags) == (5, 5, {})
