"""The trials that run before any sampling: the default, known configurations, a grid or arms."""

from collections.abc import Callable
from typing import Any

import pytest

from cluster.sampling.initial_trials import InitialTrial, make_initial_trial, plan_initial_trials
from searchspaces.space import SearchSpace
from tests.support.finite_space import suggest_finite
from trainables.errors import UserError

Change = Callable[..., SearchSpace[Any]]


def test_the_default_comes_first_and_known_configurations_follow(change: Change) -> None:
    space = change(initial_configs=({"learning_rate": 0.3, "nap": 0.5}, {"width": 4}))
    first, second, third = plan_initial_trials(space, {"momentum": True}, "random", 3)
    assert first.parameters == {"learning_rate": 0.1, "width": 2, "momentum": True}
    assert second.parameters == {"learning_rate": 0.3, "width": 2, "momentum": True}
    assert third.parameters == {"learning_rate": 0.1, "width": 4, "momentum": True}
    assert [trial.fixed["nap"] for trial in (first, second, third)] == [0.0, 0.5, 0.0]


def test_a_grid_has_every_configuration_once_with_the_default_first(change: Change) -> None:
    trials = plan_initial_trials(change(suggest=suggest_finite), {}, "grid", 3)
    parameters = [dict(trial.parameters) for trial in trials]
    assert parameters[0] == {"momentum": False, "learning_rate": 0.1}
    assert sorted(parameters, key=str) == sorted(
        [
            {"momentum": False, "learning_rate": 0.1},
            {"momentum": False, "learning_rate": 0.2},
            {"momentum": True, "width": 2},
            {"momentum": True, "width": 3},
        ],
        key=str,
    )


def test_a_grid_of_a_continuous_space_is_rejected_with_the_options(
    space: SearchSpace[Any],
) -> None:
    with pytest.raises(UserError, match=r"learning_rate is continuous(.|\n)*--set learning_rate="):
        plan_initial_trials(space, {}, "grid", 3)
    assert len(plan_initial_trials(space, {"learning_rate": 0.2}, "grid", 3)) == 4 * 2


def test_every_arm_runs_once_before_one_runs_twice(change: Change) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}))
    first, *others = plan_initial_trials(space, {}, "random", 2)
    assert first.parameters == {"learning_rate": 0.1, "width": 2, "momentum": False}
    assert [(t.parameters, t.fixed["seed"]) for t in others] == [
        ({"momentum": True}, 0),
        ({"momentum": False}, 1),
        ({"momentum": True}, 1),
    ]


def test_arms_that_a_fixed_value_makes_equal_run_once(change: Change) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}, {"momentum": True, "width": 3}))
    trials = plan_initial_trials(space, {"momentum": True}, "random", 2)
    assert [trial.fixed["seed"] for trial in trials[1:]] == [0, 1, 1]
    assert len(plan_initial_trials(space, {"momentum": True, "width": 3}, "random", 2)) == 2


def test_seeds_are_fixed_and_never_a_parameter(space: SearchSpace[Any]) -> None:
    trial = make_initial_trial(space, {"width": 3, "nap": 1.0}, {"seed": 7})
    assert trial == InitialTrial({"width": 3}, {"nap": 1.0, "seed": 7})


def test_equal_configurations_have_the_same_key() -> None:
    one = InitialTrial({"a": 1, "b": 2}, {"seed": 0}, {"of": "1"})
    assert one.key == InitialTrial({"b": 2, "a": 1}, {"seed": 0}).key
    assert one.key != InitialTrial({"a": 1, "b": 2}, {"seed": 1}).key
