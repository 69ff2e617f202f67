"""A space's parameters and ranges, found by running `suggest` without a sampler."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cluster.sampling.parameters import (
    answer_with_fixed,
    config_field,
    describe_range,
    distribution_to_json,
    find_distributions,
    format_number,
    iterate_grid,
    list_outside_ranges,
    run_suggest,
    to_parameters,
)
from searchspaces.loading import list_names, load_space
from searchspaces.space import SearchSpace
from trainables.errors import UserError


@dataclass(frozen=True)
class Config:
    """A learning rate whose range depends on the optimizer, and layers with a width each."""

    optimizer: str = "adamw"
    rate: float = 1e-3
    momentum: float = 0.9
    depth: int = 1
    size: str = "a"


def _space(suggest: Callable[[optuna.Trial], Mapping[str, Any]]) -> SearchSpace[Config]:
    return SearchSpace(Config, lambda config, run: iter(()), suggest, "score", "max", reports=1)  # type: ignore[arg-type,return-value]


def _branches(trial: optuna.Trial) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    rates = {"adamw": (1e-4, 1e-2), "sgd": (1e-2, 1.0)}[optimizer]
    found: dict[str, Any] = {
        "optimizer": optimizer,
        "rate": trial.suggest_float(f"rate.{optimizer}", *rates, log=True),
        "depth": trial.suggest_int("depth", 1, 3),
    }
    if optimizer == "sgd":
        found["momentum"] = trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
    return found


def _finite(trial: optuna.Trial) -> dict[str, Any]:
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    found: dict[str, Any] = {"optimizer": optimizer}
    if optimizer == "sgd":
        found["momentum"] = trial.suggest_float("momentum", 0.0, 0.9, step=0.3)
        if found["momentum"] == 0.0:
            found["size"] = trial.suggest_categorical("size", ["a", "b"])
    found["depth"] = trial.suggest_int("depth", 1, 5, step=2)
    return found


BRANCHES, FINITE = _space(_branches), _space(_finite)


def test_a_parameter_sets_the_field_before_its_dot() -> None:
    assert (
        config_field("rate") == config_field("rate.sgd") == config_field("rate.sgd.late") == "rate"
    )


def test_every_parameter_is_passed_on_with_its_range() -> None:
    asked: dict[str, Any] = {}

    def answer(name: str, distribution: Any) -> Any:
        asked[name] = distribution
        return {"optimizer": "sgd", "rate.sgd": 0.5, "momentum": 0.3, "depth": 2}[name]

    assert run_suggest(BRANCHES, answer) == {
        **{"optimizer": "sgd", "rate": 0.5, "depth": 2, "momentum": 0.3}
    }
    assert asked == {
        "optimizer": CategoricalDistribution(["adamw", "sgd"]),
        "rate.sgd": FloatDistribution(1e-2, 1.0, log=True),
        "depth": IntDistribution(1, 3),
        "momentum": FloatDistribution(0.0, 0.9, step=0.3),
    }


def test_values_become_the_parameters_of_their_branch() -> None:
    assert to_parameters(BRANCHES, {"optimizer": "sgd", "rate": 0.5, "momentum": 0.3}) == {
        **{"optimizer": "sgd", "rate.sgd": 0.5, "momentum": 0.3}
    }
    assert to_parameters(BRANCHES, {"rate": 0.002, "momentum": 0.3}) == {"rate.adamw": 0.002}
    assert to_parameters(BRANCHES, {"size": "b"}) == {}


def test_both_branches_are_found() -> None:
    found = find_distributions(BRANCHES, {})
    assert found.keys() == {"optimizer", "rate.adamw", "rate.sgd", "depth", "momentum"}
    assert found["rate.sgd"] == FloatDistribution(1e-2, 1.0, log=True)
    assert found["depth"] == IntDistribution(1, 3)


def test_a_fixed_value_closes_a_branch() -> None:
    assert find_distributions(BRANCHES, {"optimizer": "adamw"}).keys() == {"rate.adamw", "depth"}
    assert find_distributions(BRANCHES, {"optimizer": "sgd", "rate": 0.1}).keys() == {
        *("depth", "momentum")
    }


def test_a_branch_within_a_branch_is_found() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        if trial.suggest_categorical("optimizer", ["adamw", "sgd"]) == "sgd" and (
            trial.suggest_categorical("size", ["a", "b"]) == "b"
        ):
            trial.suggest_float("momentum", 0.0, 0.5)
        return {}

    assert find_distributions(_space(suggest), {}).keys() == {"optimizer", "size", "momentum"}


def test_the_parameters_of_the_most_layers_are_found() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        for layer in range(trial.suggest_int("depth", 1, 3)):
            trial.suggest_int(f"size.{layer}", 8, 64, log=True)
        return {}

    found = find_distributions(_space(suggest), {})
    assert found.keys() == {"depth", "size.0", "size.1", "size.2"}


def _key(point: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, round(v, 9) if isinstance(v, float) else v) for name, v in point.items())


def test_a_grid_is_complete_and_has_no_duplicates() -> None:
    points = [_key(point) for point in iterate_grid(FINITE, {})]
    adamw = [(("optimizer", "adamw"), ("depth", depth)) for depth in (1, 3, 5)]
    sgd = [
        (("optimizer", "sgd"), ("momentum", momentum), *size, ("depth", depth))
        for momentum in (0.0, 0.3, 0.6, 0.9)
        for size in ([[("size", "a")], [("size", "b")]] if momentum == 0.0 else [[]])
        for depth in (1, 3, 5)
    ]
    assert points == adamw + sgd
    assert len(set(points)) == 18


def test_optuna_accepts_every_point_of_a_grid() -> None:
    for point in iterate_grid(FINITE, {}):
        trial = optuna.trial.FixedTrial(point)
        FINITE.suggest(trial)  # type: ignore[arg-type]
        assert trial.params == pytest.approx(point) or trial.params == point


def test_fixed_values_are_left_out_of_a_grid() -> None:
    assert list(iterate_grid(FINITE, {"optimizer": "adamw"})) == [{"depth": d} for d in (1, 3, 5)]
    sgd = list(iterate_grid(FINITE, {"optimizer": "sgd", "momentum": 0.3}))
    assert sgd == [{"depth": d} for d in (1, 3, 5)]
    assert list(iterate_grid(FINITE, {"optimizer": "adamw", "depth": 3})) == [{}]


def test_a_parameter_suggested_twice_is_one_parameter() -> None:
    def suggest(trial: optuna.Trial) -> dict[str, Any]:
        first = trial.suggest_categorical("size", ["a", "b"])
        assert trial.suggest_categorical("size", ["a", "b"]) == first
        return {"size": first}

    assert list(iterate_grid(_space(suggest), {})) == [{"size": "a"}, {"size": "b"}]


def test_a_continuous_space_has_no_grid() -> None:
    with pytest.raises(UserError, match=r"rate\.adamw is continuous") as caught:
        list(iterate_grid(BRANCHES, {}))
    assert "--set rate=VALUE" in str(caught.value)
    assert len(list(iterate_grid(BRANCHES, {"rate": 0.01}))) == 3 + 3 * 4


def _trial(fixed: dict[str, Any]) -> tuple[optuna.Trial, dict[str, Any]]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trial = study.ask()
    return trial, run_suggest(BRANCHES, answer_with_fixed(trial, fixed))


def test_branches_follow_fixed_values() -> None:
    for optimizer, others in (("sgd", {"rate.sgd", "momentum"}), ("adamw", {"rate.adamw"})):
        trial, values = _trial({"optimizer": optimizer})
        assert values["optimizer"] == optimizer
        assert trial.params.keys() == {"depth", *others}
        assert trial.params[f"rate.{optimizer}"] == values["rate"]


def test_a_fixed_value_may_lie_outside_the_searched_range() -> None:
    trial, values = _trial({"optimizer": "sgd", "rate": 50.0, "depth": 9})
    assert (values["rate"], values["depth"]) == (50.0, 9)
    assert trial.params.keys() == {"momentum"}


def test_parameters_that_are_not_fixed_are_sampled_from_their_range() -> None:
    trial, values = _trial({})
    direct = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    assert values == dict(BRANCHES.suggest(direct))
    assert trial.params == direct.params
    assert trial.distributions == direct.distributions


@pytest.mark.parametrize("name", list_names())
def test_the_ranges_of_every_space_are_found(name: str) -> None:
    space = load_space(name)
    found = find_distributions(space, {})
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    for _ in range(30):
        trial = study.ask()
        space.suggest(trial)
        assert trial.distributions.items() <= found.items()


def test_a_value_outside_of_every_range_of_its_field_gives_a_warning() -> None:
    warnings = list(list_outside_ranges(BRANCHES, {"rate": 5.0, "depth": 2, "size": "z"}))
    assert warnings == [
        "rate=5.0 is outside the searched range 0.0001 to 0.01, log scale or 0.01 to 1, log scale"
    ]
    assert not list(list_outside_ranges(BRANCHES, {"rate": 0.5, "momentum": 0.3}))
    assert not list(list_outside_ranges(BRANCHES, {"rate": 1e-3, "optimizer": "sgd"}))
    (warning,) = list_outside_ranges(BRANCHES, {"optimizer": "adagrad"})
    assert warning == "optimizer=adagrad is outside the searched range adamw, sgd"
    (warning,) = list_outside_ranges(BRANCHES, {"momentum": 0.4})  # between two steps
    assert warning == "momentum=0.4 is outside the searched range 0 to 0.9, step 0.3"


def test_ranges_are_described_in_words() -> None:
    assert describe_range(FloatDistribution(1e-4, 0.5, log=True)) == "0.0001 to 0.5, log scale"
    assert describe_range(IntDistribution(32, 256, step=32)) == "32 to 256, step 32"
    assert describe_range(IntDistribution(1, 4)) == "1 to 4"
    assert describe_range(CategoricalDistribution(["sgd", None, True])) == "sgd, None, True"


def test_numbers_have_four_significant_digits() -> None:
    assert [format_number(v) for v in (0.123456, 1e-5, 32, True, "sgd")] == [
        "0.1235",
        "1e-05",
        "32",
        "True",
        "sgd",
    ]


def test_ranges_are_written_as_json() -> None:
    found = {n: distribution_to_json(d) for n, d in find_distributions(BRANCHES, {}).items()}
    assert found["optimizer"] == {"type": "categorical", "choices": ["adamw", "sgd"]}
    assert found["rate.sgd"] == {
        "type": "float",
        "low": 0.01,
        "high": 1.0,
        "log": True,
        "step": None,
    }
    assert found["depth"] == {"type": "int", "low": 1, "high": 3, "log": False, "step": 1}
    assert json.loads(json.dumps(found)) == found
