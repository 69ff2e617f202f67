"""Find the parameters that a space's `suggest` asks for, with their ranges.

`suggest` is code with plain ifs: its parameters are found by running it. What it asks for are the
parameters of the sampler, what it returns is the configuration; they need not be the same.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.json_text import Json, is_same
from searchspaces.space import SearchSpace
from searchspaces.suggestion import (
    Answer,
    config_field,
    draw_value,
    encode_choice,
    first_value,
    run_suggest,
)

MAX_ASKED = 50_000
"""Parameters that `suggest` is asked for, in all, before the search for more branches ends.

One with choices counts as many: it takes as long to build.
"""
RANDOM_DRAWS = 16
MANY = 1000
"""Parameters of one configuration beyond which values are drawn, so that a loop may end."""


@dataclass(frozen=True)
class Parameter:
    """A parameter that `suggest` asks for.

    `distribution` covers the ranges of all branches. `fields` are the Config fields that change
    with it. `field` is the one whose value it is; None for a derived one, such as the exponent of
    a power of two.
    """

    name: str
    distribution: BaseDistribution
    fields: frozenset[str]
    field: str | None


@dataclass
class _Exploration:
    """The runs of `suggest`: the ranges of what it asked for, and every answer with its result."""

    ranges: dict[str, BaseDistribution] = field(default_factory=dict)
    runs: list[tuple[dict[str, Any], dict[str, Json]]] = field(default_factory=list)
    asked: int = 0


def find_parameters(
    space: SearchSpace[Any], fixed: Mapping[str, Json] | None = None
) -> dict[str, Parameter]:
    """Return every parameter that some branch of `suggest` asks for, but for fixed values.

    Branches are found by trying each choice of each categorical parameter, and by random draws.
    Raises UserError where one name has two kinds, or two lists of choices.
    """
    free = _explore(space, {}, {})
    parameters = {name: _make_parameter(space, name, free) for name in free.ranges}
    if not fixed:
        return parameters
    explored = _explore(space, fixed, parameters)
    return {
        name: replace(parameters[name], distribution=distribution)
        if name in parameters
        else _make_parameter(space, name, explored)  # only where a fixed value is asked for
        for name, distribution in explored.ranges.items()
    }


def with_fixed(
    ask: Answer, fixed: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> Answer:
    """Return an answer that takes fixed values, so that the branches of `suggest` follow them.

    `ask` answers for the other parameters. A derived parameter of which all is fixed is not asked
    for: its value would not matter, and a sampler would learn from it.
    """

    def answer(name: str, distribution: BaseDistribution) -> Any:
        known = parameters.get(name)
        own = known.field if known else config_field(name)
        if own is not None and own in fixed:
            return encode_choice(fixed[own])
        if known and known.fields and known.fields <= fixed.keys():
            return first_value(distribution)
        return ask(name, distribution)

    return answer


def is_in_range(distribution: BaseDistribution, value: Any) -> bool:
    """Return whether a distribution has a value."""
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except (ValueError, TypeError):
        return False


def _explore(
    space: SearchSpace[Any], fixed: Mapping[str, Json], parameters: Mapping[str, Parameter]
) -> _Exploration:
    explored = _Exploration()
    untried: deque[dict[str, Any]] = deque([{}])
    while untried and explored.asked < MAX_ASKED:
        chosen = untried.popleft()
        before = set(explored.ranges)
        _run(space, explored, _follow(chosen), fixed, parameters)
        for name in explored.ranges.keys() - before:
            if isinstance(distribution := explored.ranges[name], CategoricalDistribution):
                untried.extend({**chosen, name: choice} for choice in distribution.choices)
    draw = random.Random(0)
    for _ in range(RANDOM_DRAWS):
        _run(space, explored, lambda _, range_: draw_value(draw, range_), fixed, parameters)
    explored.asked = 0
    return explored


def _follow(chosen: Mapping[str, Any]) -> Answer:
    return lambda name, distribution: chosen.get(name, first_value(distribution))


def _run(
    space: SearchSpace[Any],
    explored: _Exploration,
    pick: Answer,
    fixed: Mapping[str, Json],
    parameters: Mapping[str, Parameter],
) -> None:
    """Run `suggest` with the values that `pick` returns, and record ranges, answers and result."""
    answers: dict[str, Any] = {}
    draw = random.Random(0)

    def ask(name: str, distribution: BaseDistribution) -> Any:
        explored.ranges[name] = merge_ranges(explored.ranges.get(name), distribution)
        if len(answers) > MANY:  # a loop that goes on as long as a choice is the first one
            return draw_value(draw, distribution)
        return pick(name, distribution)

    answer = with_fixed(ask, fixed, parameters)

    def record(name: str, distribution: BaseDistribution) -> Any:
        match distribution:
            case CategoricalDistribution(choices=choices):
                explored.asked += len(choices)
            case _:
                explored.asked += 1
        answers[name] = answer(name, distribution)
        return answers[name]

    explored.runs.append((answers, run_suggest(space, record)))


def _make_parameter(space: SearchSpace[Any], name: str, explored: _Exploration) -> Parameter:
    own, distribution = config_field(name), explored.ranges[name]
    if all(
        own in suggested and is_same(encode_choice(suggested[own]), answers[name])
        for answers, suggested in explored.runs
        if name in answers
    ):
        return Parameter(name, distribution, frozenset({own}), own)
    fields = frozenset(_find_fields(space, name, explored))
    return Parameter(name, distribution, fields, None)


def _find_fields(space: SearchSpace[Any], name: str, explored: _Exploration) -> set[str]:
    """Return the fields that change with a derived parameter, all others being the same."""
    base, before = next(run for run in explored.runs if name in run[0])
    explored.asked += 3 * len(base)
    if explored.asked > MAX_ASKED:
        return set(before)
    draw = random.Random(name)
    fields = set()
    for _ in range(3):

        def answer(asked: str, distribution: BaseDistribution) -> Any:
            if asked != name and is_in_range(distribution, base.get(asked)):
                return base[asked]
            return draw_value(draw, distribution)

        after = run_suggest(space, answer)
        changed = (
            f for f in after.keys() | before.keys() if not is_same(after.get(f), before.get(f))
        )
        fields |= set(changed)
    return fields


def merge_ranges(known: BaseDistribution | None, new: BaseDistribution) -> BaseDistribution:
    """Return a range that covers two of the same parameter; raises ValueError where none can."""
    if known is None or known == new:
        return new
    if type(known) is not type(new):
        raise ValueError(
            f"{describe_kind(known)} in one branch, {describe_kind(new)} in another: use one "
            "kind, or two names such as NAME.a and NAME.b"
        )
    one, two = cast(Any, known), cast(Any, new)
    if isinstance(new, CategoricalDistribution):
        raise ValueError(
            f"the choices {list(one.choices)} in one branch, {list(two.choices)} in another: use "
            "one list, or two names such as NAME.a and NAME.b"
        )
    if one.log != two.log:
        raise ValueError("log=True in one branch, log=False in another: use one of them")
    kind: Any = type(new)
    same = one.step == two.step and (one.step is None or (one.low - two.low) % one.step == 0)
    step = one.step if same else (1 if kind is IntDistribution else None)
    merged: BaseDistribution = kind(
        min(one.low, two.low), max(one.high, two.high), log=one.log, step=step
    )
    return merged


def describe_kind(distribution: BaseDistribution) -> str:
    """Return the name of the method that asks for a distribution."""
    names = {FloatDistribution: "suggest_float", IntDistribution: "suggest_int"}
    return names.get(type(distribution), "suggest_categorical")
