"""Make a space of a plain training function, without a Config class: for the Python API."""

from __future__ import annotations

import copy
import dataclasses
import functools
import keyword
import math
import operator
import random
from collections.abc import Callable, Iterable, Mapping
from itertools import chain
from types import GenericAlias
from typing import Any, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.overrides import describe_unknown
from searchspaces.space import SearchSpace, Trial, Values
from searchspaces.suggestion import Trial as RecordingTrial
from searchspaces.suggestion import draw_value
from searchspaces.user_code import user_code
from trainables.errors import UserError
from trainables.ranking import Mode

Suggest = Callable[[Trial], Values]
DRAWS = 32
"""Random runs of `suggest` that find which values it returns."""


def make_space(
    train: Callable[..., Any],
    suggest: Suggest | Mapping[str, BaseDistribution],
    metric: str,
    mode: Mode,
    defaults: Values | None = None,
    reports: int = 1,
) -> SearchSpace[Any]:
    """Return a space that trains with `train(config, run)`; raises UserError.

    The fields of `config` are what `suggest` returns, and `seed`. The default configuration, which
    runs first, has the values of `defaults`, and otherwise the centre of each range (the geometric
    one of a logarithmic range) and the first of several choices.
    """
    ask = suggest if callable(suggest) else suggest_from(suggest)
    drawn, numbers = _draw_values(ask)
    config = _make_config({**drawn, "seed": [0]}, numbers | {"seed"}, defaults or {})
    config.__module__ = train.__module__
    name = getattr(train, "__name__", type(train).__name__)
    return SearchSpace(
        config=config,
        train=train,
        suggest=ask,
        metric=metric,
        mode=mode,
        reports=reports,
        name=name,
        question=_first_paragraph(train) or f"Which configuration of {name} is best?",
    )


def suggest_from(distributions: Mapping[str, BaseDistribution]) -> Suggest:
    """Return a `suggest` that asks for each of these distributions by its name."""
    for name, distribution in distributions.items():
        if not isinstance(distribution, BaseDistribution):
            raise UserError(
                f"suggest: {name}={distribution!r:.80} is no distribution\n"
                "give one of optuna.distributions, such as FloatDistribution(1e-4, 0.1, log=True)"
            )

    def suggest(trial: Trial) -> Values:
        return {name: _ask(trial, name, d) for name, d in distributions.items()}

    return suggest


def _ask(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return trial.suggest_categorical(name, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_int(name, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            return trial.suggest_float(name, low, high, step=step, log=log)
    raise UserError(f"suggest: {name}={distribution!r} is of a kind that is not known")


def _draw_values(suggest: Suggest) -> tuple[dict[str, list[Any]], set[str]]:
    """Return the values that `suggest` returns in some runs, by name: the central one first.

    The second are the names of the parameters that are numbers of a range.
    """
    draw, found, numbers = random.Random(0), dict[str, list[Any]](), set[str]()
    pickers = [centre] + [functools.partial(draw_value, draw)] * DRAWS
    for pick in pickers:

        def answer(name: str, distribution: BaseDistribution, pick: Any = pick) -> Any:
            if not isinstance(distribution, CategoricalDistribution):
                numbers.add(name)
            return pick(distribution)

        with user_code("suggest", _find_file(suggest)):
            values = suggest(cast("Trial", RecordingTrial(object, answer)))
        if not isinstance(values, Mapping):
            raise UserError(f"suggest returns {values!r:.80}, not a dict of values by their names")
        for name, value in values.items():
            found.setdefault(name, []).append(value)
    return found, numbers


def _find_file(function: Callable[..., Any]) -> str:
    """Return the file of a function, of what a partial calls or of an object's class."""
    while isinstance(function, functools.partial):
        function = function.func
    called = function if hasattr(function, "__code__") else type(function).__call__
    return str(getattr(getattr(called, "__code__", None), "co_filename", ""))


def _make_config(drawn: Mapping[str, list[Any]], numbers: set[str], defaults: Values) -> type[Any]:
    fields: list[Any] = []
    for name, values in drawn.items():
        if not (isinstance(name, str) and name.isidentifier() and not keyword.iskeyword(name)):
            raise UserError(f"suggest returns {name!r:.80}, which is no name in Python: rename it")
        default = defaults.get(name, values[0])
        annotation = _find_type([*values, default])
        if name not in numbers or annotation not in (int, float):
            annotation = annotation | Any  # a rare branch may return a value of another type
        factory = functools.partial(copy.deepcopy, default)
        fields.append((name, annotation, dataclasses.field(default_factory=factory)))
    if unknown := [name for name in defaults if name not in drawn]:
        raise UserError(describe_unknown("hyperparameter", unknown[0], list(drawn)))
    return dataclasses.make_dataclass("Config", fields, frozen=True)


def _find_type(values: Iterable[Any]) -> Any:
    """Return the annotation of these values, with the types of what lists and dicts hold."""
    by_kind: dict[type[Any], list[Any]] = {}
    for value in values:
        by_kind.setdefault(type(value), []).append(value)
    if by_kind.keys() == {int, float}:
        return float
    found: list[Any] = []
    for kind, some in sorted(by_kind.items(), key=lambda item: item[0].__name__):
        if kind not in (list, tuple, dict):
            found.append(kind)
            continue
        inner: tuple[Any, ...] = (_find_type(chain.from_iterable(some)),)
        if kind is tuple:
            inner = (*inner, ...)
        if kind is dict:
            inner = (*inner, _find_type(chain.from_iterable(one.values() for one in some)))
        found.append(GenericAlias(kind, inner))
    return functools.reduce(operator.or_, found) if found else Any


def centre(distribution: BaseDistribution) -> Any:
    """Return the value in the middle of a distribution, or the first of its choices."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return choices[0]
        case IntDistribution(low=low, high=high, step=step, log=log):
            middle = math.sqrt(low * high) if log else (low + high) / 2
            return low + step * round((middle - low) / step)
        case FloatDistribution(low=low, high=high, step=None, log=log):
            return math.exp((math.log(low) + math.log(high)) / 2) if log else (low + high) / 2
        case FloatDistribution(low=low, high=high, step=float(step)):
            return low + step * round((high - low) / 2 / step)
    raise TypeError(f"no such distribution: {distribution}")


def _first_paragraph(function: Callable[..., Any]) -> str:
    return " ".join((function.__doc__ or "").strip().split("\n\n")[0].split())
