"""Run a space's `suggest` without a sampler, to find its parameters and their ranges.

`suggest` is code with plain ifs, so its parameters are found by running it with a
replacement of Optuna's trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import Any, cast

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.space import SearchSpace
from trainables.errors import UserError

Answer = Callable[[str, BaseDistribution], Any]


def config_field(parameter: str) -> str:
    """Return the Config field that a parameter sets: `learning_rate.lora` sets `learning_rate`."""
    return parameter.partition(".")[0]


class RecordingTrial:
    """Replaces Optuna's trial in `suggest`, and passes every parameter to a function."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer

    def suggest_float(
        self,
        name: str,
        low: float,
        high: float,
        *,
        step: float | None = None,
        log: bool = False,
    ) -> float:
        return float(self.answer(name, FloatDistribution(low, high, log, step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self.answer(name, IntDistribution(low, high, log, step)))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self.answer(name, CategoricalDistribution(choices))


def run_suggest(space: SearchSpace[Any], answer: Answer) -> dict[str, Any]:
    """Return what `suggest` returns, with a function that returns each parameter's value."""
    return dict(space.suggest(cast(optuna.Trial, RecordingTrial(answer))))


def answer_with_fixed(trial: optuna.Trial, fixed: Mapping[str, Any]) -> Answer:
    """Return a function that takes fixed values, and the sampler's for all other parameters."""

    def answer(name: str, distribution: BaseDistribution) -> Any:
        if config_field(name) in fixed:
            return fixed[config_field(name)]
        match distribution:
            case FloatDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_float(name, low, high, log=log, step=step)
            case IntDistribution(low=low, high=high, log=log, step=step):
                return trial.suggest_int(name, low, high, log=log, step=step)
            case CategoricalDistribution(choices=choices):
                return trial.suggest_categorical(name, choices)
        raise TypeError(f"{name}: no such distribution: {distribution}")

    return answer


def to_parameters(space: SearchSpace[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return Config values as the parameters that `suggest` asks for.

    Parameters that `values` lacks take the default Config's value and are left out.
    """
    default = asdict(space.config())
    named: dict[str, Any] = {}

    def answer(name: str, distribution: BaseDistribution) -> Any:
        field = config_field(name)
        if field in values:
            named[name] = values[field]
            return values[field]
        return default[field]

    run_suggest(space, answer)
    return named


def find_distributions(
    space: SearchSpace[Any], fixed: Mapping[str, Any]
) -> dict[str, BaseDistribution]:
    """Return every parameter that some branch of `suggest` asks for, with its range.

    Branches are found by trying each choice of each categorical parameter.
    """
    found: dict[str, BaseDistribution] = {}

    def walk(chosen: Mapping[str, Any]) -> None:
        before = set(found)

        def answer(name: str, distribution: BaseDistribution) -> Any:
            if config_field(name) in fixed:
                return fixed[config_field(name)]
            found.setdefault(name, distribution)
            match distribution:
                case CategoricalDistribution(choices=choices):
                    return chosen.get(name, choices[0])
                case IntDistribution(high=high):
                    return high  # a count of layers, say: a larger one asks for more parameters
                case FloatDistribution(low=low):
                    return low

        run_suggest(space, answer)
        for name in sorted(set(found) - before):
            distribution = found[name]
            if isinstance(distribution, CategoricalDistribution):
                for choice in distribution.choices:
                    walk({**chosen, name: choice})

    walk({})
    return found


def distribution_to_json(distribution: BaseDistribution) -> dict[str, Any]:
    """Return a range as JSON: its type with choices, or with low, high, log and step."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return {"type": "categorical", "choices": list(choices)}
        case FloatDistribution(low=low, high=high, log=log, step=step):
            return {"type": "float", "low": low, "high": high, "log": log, "step": step}
        case IntDistribution(low=low, high=high, log=log, step=step):
            return {"type": "int", "low": low, "high": high, "log": log, "step": step}
    raise TypeError(f"no such distribution: {distribution}")


def iterate_grid(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every configuration of a finite space, as parameters, in the order of its choices.

    Raises UserError where a parameter is continuous.
    """
    path: list[tuple[str, list[Any], int]] = []  # parameter, its choices, index of the present one
    while True:
        asked: dict[str, Any] = {}

        def answer(
            name: str, distribution: BaseDistribution, asked: dict[str, Any] = asked
        ) -> Any:
            if config_field(name) in fixed:
                return fixed[config_field(name)]
            if name not in asked:
                if len(asked) == len(path):
                    path.append((name, _choices(name, distribution), 0))
                _, choices, place = path[len(asked)]
                asked[name] = choices[place]
            return asked[name]

        run_suggest(space, answer)
        yield asked
        while path and path[-1][2] + 1 == len(path[-1][1]):
            path.pop()
        if not path:
            return
        name, choices, place = path.pop()
        path.append((name, choices, place + 1))


def _choices(name: str, distribution: BaseDistribution) -> list[Any]:
    match distribution:
        case CategoricalDistribution(choices=choices):
            return list(choices)
        case IntDistribution(low=low, high=high, step=step, log=False):
            return list(range(low, high + 1, step))
        case FloatDistribution(low=low, high=high, step=float(step)):
            # In decimals, as people write them: 0.1 + 2 x 0.1 is the 0.3 of a default Config.
            first, by = Decimal(str(low)), Decimal(str(step))
            return [float(first + i * by) for i in range(round((high - low) / step) + 1)]
    raise UserError(
        f"--sampler grid needs a finite space, and {name} is continuous: {distribution}\n"
        f"fix it with --set {config_field(name)}=VALUE, or use --sampler qmc"
    )


def list_outside_ranges(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> Iterator[str]:
    """Yield a warning for each fixed value that is legal but outside the searched range."""
    ranges: dict[str, list[BaseDistribution]] = {}
    for name, distribution in find_distributions(space, {}).items():
        ranges.setdefault(config_field(name), []).append(distribution)
    for name, value in fixed.items():
        if name in ranges and not any(_contains(d, value) for d in ranges[name]):
            searched = " or ".join(describe_range(d) for d in ranges[name])
            yield f"{name}={value} is outside the searched range {searched}"


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:
        return False


def describe_range(distribution: BaseDistribution) -> str:
    """Return a range in words, such as `0.001 to 0.1, log scale`."""
    if isinstance(distribution, CategoricalDistribution):
        return ", ".join(str(choice) for choice in distribution.choices)
    low, high = distribution.low, distribution.high  # type: ignore[attr-defined]
    step, log = distribution.step, distribution.log  # type: ignore[attr-defined]
    extra = ", log scale" if log else (f", step {step:g}" if step and step != 1 else "")
    return f"{format_number(low)} to {format_number(high)}{extra}"


def format_number(value: object) -> str:
    """Return a hyperparameter or score in four significant digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
