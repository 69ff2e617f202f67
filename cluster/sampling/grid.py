"""Enumerate the configurations of a finite space, one at a time: a grid may not fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.codec import Json
from searchspaces.parameters import Parameter, with_fixed
from searchspaces.space import SearchSpace
from searchspaces.suggestion import run_suggest
from trainables.errors import UserError


class ContinuousError(UserError):
    """A parameter has infinitely many values."""


def iterate_grid(
    space: SearchSpace[Any], fixed: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> Iterator[tuple[dict[str, Any], dict[str, Json]]]:
    """Yield every configuration of a finite space, in the order of its choices.

    Each is its parameters, as Optuna stores them, and the values that `suggest` returns. Raises
    ContinuousError where a parameter is continuous.
    """
    path: list[tuple[Sequence[Any], int]] = []  # the values of a parameter, index of the present
    while True:
        asked: dict[str, Any] = {}
        suggested = run_suggest(space, with_fixed(_follow(path, asked), fixed, parameters))
        yield asked, {**suggested, **fixed}
        while path and path[-1][1] + 1 == len(path[-1][0]):
            path.pop()
        if not path:
            return
        values, index = path.pop()
        path.append((values, index + 1))


def _follow(
    path: list[tuple[Sequence[Any], int]], asked: dict[str, Any]
) -> Callable[[str, BaseDistribution], Any]:
    """Return an answer that takes the values of a path, and extends it by first values."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        if name not in asked:
            if len(asked) == len(path):
                path.append((_list_values(name, distribution), 0))
            values, index = path[len(asked)]
            asked[name] = values[index]
        return asked[name]

    return answer


def _list_values(name: str, distribution: BaseDistribution) -> Sequence[Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices
        case IntDistribution(low=low, high=high, step=step, log=False):
            return range(low, high + 1, step)
        case FloatDistribution(low=low, high=high, step=float(step)):
            # In decimals, as people write them: 0.1 + 2 x 0.1 is the 0.3 of a default Config.
            first, by = Decimal(str(low)), Decimal(str(step))
            return [float(first + i * by) for i in range(round((high - low) / step) + 1)]
        case FloatDistribution(low=low, high=high) if low == high:
            return [low]
    raise ContinuousError(
        f"--sampler grid needs a finite space, and {name} is continuous: {distribution}\n"
        f"fix it with --set {name.partition('.')[0]}=VALUE, or use --sampler qmc"
    )
