"""Enumerate the configurations of a finite space, one at a time: a grid may not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.json_text import Json
from searchspaces.parameters import Parameter, with_fixed
from searchspaces.space import SearchSpace
from searchspaces.suggestion import find_step, run_suggest
from trainables.errors import UserError


class ContinuousError(UserError):
    """A parameter has infinitely many values."""


@dataclass(frozen=True)
class Values:
    """The values of a parameter: how many, and a function that returns one by its index."""

    count: int
    find: Callable[[int], Any]


def iterate_grid(
    space: SearchSpace[Any], fixed: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> Iterator[tuple[dict[str, Any], dict[str, Json]]]:
    """Yield every configuration of a finite space, in the order of its choices.

    Each is its parameters, as Optuna stores them, and the values that `suggest` returns. Raises
    ContinuousError where a parameter is continuous.
    """
    path: list[tuple[Values, int]] = []  # the values of a parameter, index of the present
    while True:
        asked: dict[str, Any] = {}
        suggested = run_suggest(space, with_fixed(_follow(path, asked), fixed, parameters))
        yield asked, {**suggested, **fixed}
        while path and path[-1][1] + 1 == path[-1][0].count:
            path.pop()
        if not path:
            return
        values, index = path.pop()
        path.append((values, index + 1))


def _follow(
    path: list[tuple[Values, int]], asked: dict[str, Any]
) -> Callable[[str, BaseDistribution], Any]:
    """Return an answer that takes the values of a path, and extends it by first values."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        if name not in asked:
            if len(asked) == len(path):
                path.append((_list_values(name, distribution), 0))
            values, index = path[len(asked)]
            asked[name] = values.find(index)
        return asked[name]

    return answer


def _list_values(name: str, distribution: BaseDistribution) -> Values:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return Values(len(choices), lambda i: choices[i])
        case IntDistribution(low=low, high=high, step=step):
            return Values((high - low) // step + 1, lambda i: low + step * i)
        case FloatDistribution(low=low, high=high, step=float(step)):
            return Values(round((high - low) / step) + 1, lambda i: find_step(low, step, i))
        case FloatDistribution(low=low, high=high) if low == high:
            return Values(1, lambda i: low)
    raise ContinuousError(
        f"--sampler grid needs a finite space, and {name} is continuous: {distribution}\n"
        f"fix it with --set {name.partition('.')[0]}=VALUE, or use --sampler qmc"
    )
