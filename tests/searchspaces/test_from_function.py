from __future__ import annotations

import functools
import json
from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.check import check_space
from searchspaces.codec import decode_config, encode_fields
from searchspaces.from_function import centre, make_space
from searchspaces.parameters import find_parameters, is_in_range
from trainables.errors import UserError


def train(config: Any, run: Any) -> Any:
    """What is asked?

    More.
    """
    yield {"loss": 0.0}


@pytest.mark.parametrize(
    ("distribution", "middle"),
    [
        (FloatDistribution(0, 1), 0.5),
        (FloatDistribution(1e-4, 1e-2, log=True), 1e-3),
        (FloatDistribution(0, 1, step=0.25), 0.5),
        (FloatDistribution(2, 2), 2),
        (IntDistribution(1, 4), 3),
        (IntDistribution(1, 100, log=True), 10),
        (IntDistribution(8, 64, step=8), 40),
        (CategoricalDistribution(["a", "b"]), "a"),
    ],
)
def test_the_centre_is_a_value_in_the_middle(distribution: BaseDistribution, middle: Any) -> None:
    assert centre(distribution) == pytest.approx(middle) if middle != "a" else "a"
    assert is_in_range(distribution, centre(distribution))


def test_fields_are_what_suggest_returns_in_any_branch() -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        kind = trial.suggest_categorical("kind", ["sgd", "adam"])
        extra = {"momentum": trial.suggest_float("momentum", 0, 1)} if kind == "sgd" else {}
        beta = {"beta": trial.suggest_float("beta", 0.9, 1)} if kind == "adam" else {}
        size = 2 ** trial.suggest_int("power", 4, 6)
        return {"kind": kind, "size": size, **extra, **beta}

    space = make_space(train, suggest, "loss", "min", {"size": 32})
    check_space(space)
    assert vars(space.config()) | {"beta": 0} == {
        **{"kind": "sgd", "size": 32, "momentum": 0.5, "beta": 0, "seed": 0},
    }
    assert set(find_parameters(space)) == {"kind", "momentum", "beta", "power"}
    assert space.question == "What is asked?"


def test_values_of_several_types_are_accepted() -> None:
    choices: list[Any] = [None, "relu", 3]
    space = make_space(train, {"act": CategoricalDistribution(choices)}, "loss", "min")
    check_space(space)
    check_space(space, {"act": "relu"})


@pytest.mark.parametrize(
    "make",
    [
        lambda x: [[1, 2], [3, int(x * 4)]],
        lambda x: {"o": (1, int(x * 4)), "p": None},
        lambda x: {1: x, 2: [x]},
        lambda x: [None, (1, 2)] if x > 0.5 else [],
        lambda x: x if x > 0.9999 else None,  # of a type that no run of `suggest` shows
        lambda x: [x] if x > 0.9999 else 1,
    ],
)
def test_values_may_be_nested_and_of_a_rare_type(make: Any) -> None:
    space = make_space(train, lambda t: {"v": make(t.suggest_float("x", 0, 1))}, "loss", "min")
    check_space(space)
    for x in (0.1, 0.99999):
        encoded = encode_fields(space.config, {"v": make(x)})
        assert decode_config(space.config, json.loads(json.dumps(encoded))).v == make(x)


def test_numbers_of_a_range_keep_their_type() -> None:
    space = make_space(
        train, {"x": FloatDistribution(0, 1), "n": IntDistribution(0, 1)}, "l", "min"
    )
    for values in ({"x": "high"}, {"n": 0.5}, {"seed": "a"}):
        with pytest.raises(ValueError, match="is not of type"):
            decode_config(space.config, values)


def test_suggest_may_be_a_partial_or_an_object() -> None:
    def suggest(low: float, trial: Any) -> dict[str, Any]:
        return {"x": trial.suggest_float("x", low, 1)}

    class Ask:
        def __call__(self, trial: Any) -> dict[str, Any]:
            return suggest(0, trial)

    asks: list[Any] = [functools.partial(suggest, 0), Ask()]
    for ask in asks:
        space = make_space(train, ask, "loss", "min")
        check_space(space)
        assert space.config().x == 0.5
    with pytest.raises(UserError, match=r"suggest raised ValueError: .*_from_function.py, line"):
        make_space(train, functools.partial(suggest, "a"), "loss", "min")
