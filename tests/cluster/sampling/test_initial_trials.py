"""The trials that run before any sampling: the default, known configurations, or arms."""

from collections.abc import Callable
from typing import Any

from cluster.sampling.initial_trials import InitialTrial, plan_initial_trials
from searchspaces.space import SearchSpace

Change = Callable[..., SearchSpace[Any]]


def test_the_default_comes_first_and_known_configurations_follow(change: Change) -> None:
    space = change(initial_configs=({"learning_rate": 0.3, "nap": 0.5}, {"width": 4}))
    first, second, third = plan_initial_trials(space, {"momentum": True}, 3)
    assert first.parameters == {"learning_rate": 0.1, "width": 2}
    assert second.parameters == {"learning_rate": 0.3, "width": 2}
    assert third.parameters == {"learning_rate": 0.1, "width": 4}
    assert [trial.fixed["nap"] for trial in (first, second, third)] == [0.0, 0.5, 0.0]


def test_every_arm_runs_once_before_one_runs_twice(change: Change) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}))
    first, *others = plan_initial_trials(space, {}, 2)
    assert first.parameters == {"learning_rate": 0.1, "width": 2, "momentum": False}
    assert [(t.parameters, t.fixed["seed"]) for t in others] == [
        ({"momentum": True}, 0),
        ({"momentum": False}, 1),
        ({"momentum": True}, 1),
    ]


def test_arms_that_a_fixed_value_makes_equal_run_once(change: Change) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}, {"momentum": True, "width": 3}))
    trials = plan_initial_trials(space, {"momentum": True}, 2)
    assert [trial.fixed["seed"] for trial in trials[1:]] == [0, 1, 1]
    assert len(plan_initial_trials(space, {"momentum": True, "width": 3}, 2)) == 2


def powers(trial: Any) -> dict[str, Any]:
    """Suggest a width of 2, 4 or 8 by its exponent."""
    return {
        "width": 2 ** trial.suggest_int("width", 1, 3),
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 0.4, log=True),
    }


def test_a_default_that_cannot_be_asked_for_runs_as_it_is(
    change: Change, begin: Any, open_study: Any
) -> None:
    space = change(suggest=powers)
    (default,) = plan_initial_trials(space, {}, 1)
    assert default.whole
    assert default.parameters == {}
    study = open_study(begin(), space)
    first, second = study.ask(), study.ask()
    assert first.config == vars(space.config())
    assert first.parameters == {}
    assert second.config["width"] == 2 ** second.parameters["width"]


def test_an_arm_that_cannot_be_asked_for_is_fixed_and_leaves_the_rest_to_the_sampler(
    change: Change, begin: Any, open_study: Any
) -> None:
    space = change(suggest=powers, arms=({"width": 4}, {"width": 8}, {"width": 3}))
    study = open_study(begin(), space)
    asked = [study.ask() for _ in range(3)]
    assert [suggestion.config["width"] for suggestion in asked] == [4, 8, 3]
    assert [set(suggestion.parameters) for suggestion in asked[1:]] == [{"learning_rate"}] * 2


def test_a_default_outside_of_a_range_runs_as_it_is(change: Change) -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        return {"learning_rate": trial.suggest_float("learning_rate", 0.2, 0.4, log=True)}

    (default,) = plan_initial_trials(change(suggest=suggest), {}, 1)
    assert default.whole
    assert default.fixed["learning_rate"] == 0.1
    (fixed,) = plan_initial_trials(change(suggest=suggest), {"learning_rate": 0.3}, 1)
    assert not fixed.whole


def test_fixed_values_are_those_of_known_configurations_too(change: Change) -> None:
    space = change(initial_configs=({"width": 4}, {"width": 1, "learning_rate": 0.2}))
    planned = plan_initial_trials(space, {"width": 3}, 1)
    assert [trial.parameters["learning_rate"] for trial in planned] == [0.1, 0.2]
    assert not any("width" in trial.parameters for trial in planned)


def test_equal_configurations_have_the_same_key() -> None:
    one = InitialTrial({"a": 1, "b": 2}, {"seed": 0}, tags={"of": "1"})
    assert one.key == InitialTrial({"b": 2, "a": 1}, {"seed": 0}).key
    assert one.key != InitialTrial({"a": 1, "b": 2}, {"seed": 1}).key
