"""The ranges of a space's parameters: as JSON, in words, and for fixed values outside of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.codec import to_json
from searchspaces.json_text import to_text
from searchspaces.parameters import Parameter, find_parameters, is_in_range
from searchspaces.space import SearchSpace
from searchspaces.suggestion import encode_choice

SHOWN_CHOICES = 12


def parameter_to_json(parameter: Parameter) -> dict[str, Any]:
    """Return the range of a parameter as JSON: choices, or low, high, log and step.

    `field` is the Config field that has its value, null for a derived parameter.
    """
    return {**range_to_json(parameter.distribution), "field": parameter.field}


def range_to_json(distribution: BaseDistribution) -> dict[str, Any]:
    """Return a range as JSON: its type with choices, or with low, high, log and step."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return {"type": "categorical", "choices": list(choices)}
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return {"type": "float", "low": low, "high": high, "log": log, "step": step}
        case IntDistribution(low=low, high=high, log=log, step=step):
            return {"type": "int", "low": low, "high": high, "log": log, "step": step}
    raise TypeError(f"no such distribution: {distribution}")


def list_outside_ranges(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each fixed value that is legal but outside the searched range."""
    ranges: dict[str, list[BaseDistribution]] = {}
    for parameter in find_parameters(space).values():
        if parameter.field is not None:
            ranges.setdefault(parameter.field, []).append(parameter.distribution)
    for name, value in fixed.items():
        stored = encode_choice(to_json(value))
        if name in ranges and not any(is_in_range(range_, stored) for range_ in ranges[name]):
            searched = " or ".join(describe_range(range_to_json(r)) for r in ranges[name])
            yield f"{name}={value} is outside the searched range {searched}"


def describe_range(about: Mapping[str, Any]) -> str:
    """Return a range, as JSON, in words such as `0.001 to 0.1, log scale`."""
    if about["type"] == "categorical":
        # A container is JSON text already: see `encode_choice`.
        choices = [
            choice if isinstance(choice, str) and choice[:1] in ("[", "{") else to_text(choice)
            for choice in about["choices"]
        ]
        more = len(choices) - SHOWN_CHOICES
        shown = choices if more <= 1 else [*choices[:SHOWN_CHOICES], f"and {more} more"]
        return ", ".join(shown)
    step = about["step"]
    extra = ", log scale" if about["log"] else (f", step {step:g}" if step and step != 1 else "")
    return f"{format_number(about['low'])} to {format_number(about['high'])}{extra}"


def format_number(value: object) -> str:
    """Return a hyperparameter or score in four significant digits, containers as JSON.

    A string that looks like another value is quoted, as in `searchspaces.codec.to_text`.
    """
    if isinstance(value, str):
        return to_text(value)
    if isinstance(value, list | dict):
        return json.dumps(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)
