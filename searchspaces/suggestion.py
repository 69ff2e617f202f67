"""Run a space's `suggest` with a replacement of Optuna's trial that asks a function instead."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.codec import encode_fields, find_types, from_json, to_json
from searchspaces.json_text import Json
from searchspaces.overrides import describe_unknown, list_fields
from searchspaces.space import SearchSpace
from searchspaces.user_code import user_code
from trainables.errors import UserError

MAX_ASKED = 10_000
"""Parameters of one configuration: a loop in `suggest` that asks for more does not end."""
Answer = Callable[[str, BaseDistribution], Any]
"""Returns the value of a parameter, as Optuna stores it."""


class Trial:
    """Replaces Optuna's trial in `suggest`, and passes every parameter to a function."""

    def __init__(self, config: type[Any], answer: Answer, number: int = 0) -> None:
        self.config = config
        self.answer = answer
        self.number = number
        self._asked = 0
        self.params: dict[str, Any] = {}
        self._answers: dict[str, tuple[Any, type[BaseDistribution]]] = {}

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        def build() -> FloatDistribution:
            if not math.isfinite(high - low):
                raise ValueError(f"its range from {low} to {high} is not finite")
            return FloatDistribution(low, high, log, step)

        value = self._ask(name, build)
        if step is not None and is_number(value) and low <= value <= high:
            return find_step(low, step, round((value - low) / step), value)
        return float(value) if is_number(value) else value

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        value = self._ask(name, lambda: IntDistribution(low, high, log, step))
        return int(value) if is_number(value) else value

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        by_stored: dict[Any, Any] = {}

        def build() -> CategoricalDistribution:
            for choice in choices:
                stored = encode_choice(choice)
                if stored in by_stored:
                    raise ValueError(f"the choices {by_stored[stored]!r} and {choice!r} are equal")
                by_stored[stored] = choice
            return CategoricalDistribution(tuple(by_stored))

        stored = self._ask(name, build)
        is_choice = stored in by_stored  # a fixed value or a default may be none of the choices
        self.params[name] = by_stored[stored] if is_choice else self._decode(name, stored)
        return self.params[name]

    def _decode(self, name: str, stored: Any) -> Any:
        annotation = find_types(self.config).get(config_field(name), Any)
        return decode_choice(stored, annotation)

    def _ask(self, name: str, build: Callable[[], BaseDistribution]) -> Any:
        if not isinstance(name, str) or not name:
            raise ValueError(f"{name!r} is not the name of a parameter")
        self._asked += 1
        if self._asked > MAX_ASKED:
            raise ValueError(f"a configuration asks for more than {MAX_ASKED:,} parameters")
        try:
            distribution = build()
            if name not in self._answers:
                answer = self.answer(name, distribution)
                self._answers[name] = (answer, type(distribution))
                self.params[name] = answer
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"parameter {name!r}: {error}") from error
        answer, kind = self._answers[name]
        if not isinstance(distribution, kind):
            raise ValueError(f"parameter {name!r} is asked for as two kinds")
        return answer


def is_number(value: Any) -> bool:
    """Return whether a value is an int or a float."""
    return isinstance(value, int | float)


def find_step(low: float, step: float, index: int, near: float | None = None) -> float:
    """Return the value at a step of a float range, in decimals, as people write them.

    0.1 + 2 x 0.1 is the 0.3 of a default Config, and not the 0.30000000000000004 of a sampler.
    A value `near` it stays as it is where it is more than rounding away, as a fixed one may be.
    """
    exact = float(Decimal(str(low)) + index * Decimal(str(step)))
    return exact if near is None or math.isclose(exact, near, abs_tol=1e-9 * step) else float(near)


def config_field(parameter: str) -> str:
    """Return the Config field that a parameter may set: `learning_rate.lora`, `learning_rate`."""
    return parameter.partition(".")[0]


def encode_choice(choice: Any) -> bool | int | float | str | None:
    """Return a choice as Optuna can store it, containers as JSON text; raises TypeError."""
    data = to_json(choice)
    return json.dumps(data) if isinstance(data, list | dict) else cast("str | None", data)


def decode_choice(stored: bool | int | float | str | None, annotation: Any) -> Any:
    """Return the value of an annotation that `encode_choice` has stored; raises ValueError."""
    try:
        return from_json(stored, annotation)
    except ValueError:
        if not isinstance(stored, str):
            raise
        return from_json(json.loads(stored), annotation)


def run_suggest(space: SearchSpace[Any], answer: Answer, number: int = 0) -> dict[str, Json]:
    """Return what `suggest` returns, as JSON; `answer` returns the value of each parameter.

    Raises UserError for whatever `suggest` raises, and for a result that is not a dict by names.
    """
    trial = Trial(space.config, answer, number)
    with user_code(f"suggest of {space.name}", space.source_file):
        suggested = space.suggest(cast(optuna.Trial, trial))
    if not isinstance(suggested, Mapping):
        raise UserError(
            f"suggest of {space.name} in {space.source_file} returns {suggested!r:.80}, not a "
            "dict of values by their names"
        )
    known = list_fields(space)
    for name in suggested:
        if name not in known:
            raise UserError(
                f"suggest of {space.name} in {space.source_file} returns an "
                + describe_unknown("hyperparameter", str(name), known)
            )
    try:
        return encode_fields(space.config, {str(n): value for n, value in suggested.items()})
    except TypeError as error:
        raise UserError(
            f"suggest of {space.name} in {space.source_file} returns {error}"
        ) from error


def draw_value(draw: random.Random, distribution: BaseDistribution) -> Any:
    """Draw a value uniformly from a distribution."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return draw.choice(choices)
        case IntDistribution(low=low, high=high, step=step):
            return low + step * draw.randint(0, (high - low) // step)
        case FloatDistribution(low=low, high=high, step=None):
            return draw.uniform(low, high)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return find_step(low, step, draw.randint(0, round((high - low) / step)))
    raise TypeError(f"no such distribution: {distribution}")


def first_value(distribution: BaseDistribution) -> Any:
    """Return the value with which `suggest` is likely to ask for the most parameters."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[0]
        case IntDistribution(high=high):
            return high  # a count of layers, say
        case FloatDistribution(low=low):
            return low
    raise TypeError(f"no such distribution: {distribution}")
