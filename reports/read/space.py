"""Read the searched hyperparameters with their ranges from a search's `search.json`."""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from reports.read.records import Tracker
from reports.read.settings import read_settings
from reports.records import Search, TrialRecord

NOT_SEARCHED = ("seed",)  # a seed has no better values
SUGGESTED = "suggested."
"""Prefix of the params of a run that are no Config fields, but what `suggest` asked for."""


@dataclass(frozen=True)
class Parameter:
    """A searched range; `key` is the param of a run that has its value.

    That is a Config field, for a parameter of one branch too, such as `learning_rate.sgd`.
    """

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    step: float | None = None
    choices: tuple[str, ...] = ()  # empty: not categorical
    declared: bool = True  # False: inferred from the values of the trials
    varies: bool = False  # True: suggested values are outside of the range on record
    own_key: str = ""

    @cached_property
    def key(self) -> str:
        """Return the param of a run that has its value."""
        return self.own_key or self.name.partition(".")[0]

    @property
    def field(self) -> str:
        """Return the Config field that it sets, or its own name where it is none."""
        return self.key.removeprefix(SUGGESTED)

    @cached_property
    def branch(self) -> str:
        """Return the value of another hyperparameter that it depends on; empty: always used."""
        return self.name.partition(".")[2] if self.name != self.field else ""

    @property
    def is_checked(self) -> bool:
        """Return whether the ends of the range are known."""
        return self.declared and not self.varies

    @cached_property
    def places(self) -> dict[str, int]:
        """Return the places of the choices by their text."""
        return {choice: place for place, choice in enumerate(self.choices)}

    def find_position(self, value: float | str) -> float:
        """Return where a value lies in the range, 0 to 1, in log scale for a log range."""
        if self.choices:
            return self.places[str(value)] / max(1, len(self.choices) - 1)
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5


def read_space(tracker: Tracker, search: Search) -> tuple[Parameter, ...]:
    """Return the parameters that differ between trials, compared ones first.

    Ranges that are not recorded are inferred from the trials. Raises UnreadableError where the
    settings of the search cannot be read.
    """
    declared = read_settings(tracker, search).get("parameters")
    tried: dict[str, dict[str, None]] = {}
    for trial in search.trials:
        for key, text in trial.params.items():
            tried.setdefault(key, {}).setdefault(text)
    found = (
        [_parse(name, about, tried) for name, about in declared.items()]
        if isinstance(declared, dict)
        else []
    )
    known = [
        _widen(p, search, tried.get(p.key, {})) for p in found if len(tried.get(p.key, {})) > 1
    ]
    if not found or any(p.key.startswith(SUGGESTED) and p.key not in tried for p in found):
        # No ranges, or derived values that are not recorded: the fields themselves are shown.
        taken = {p.key for p in found}
        fields = {k: v for k, v in tried.items() if k not in taken and not k.startswith(SUGGESTED)}
        known += _infer(fields)
    return tuple(sorted(known, key=lambda p: p.field not in search.compare))


def find_value(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> Any:
    """Return a trial's value, a float or a choice; None without one or outside the range."""
    value = find_any_value(space, parameter, trial)
    if value is None or parameter.choices:
        return value
    slack = 1e-9 * max(abs(parameter.low), abs(parameter.high))
    if not parameter.low - slack <= value <= parameter.high + slack:
        return None  # of an initial configuration
    return min(max(value, parameter.low), parameter.high)


def find_any_value(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> Any:
    """Return a trial's value, a float or a choice, also one outside the range.

    None for a trial of another branch, or without a value that fits the parameter.
    """
    text = trial.params.get(parameter.key)
    if text is None or not _is_active(space, parameter, trial):
        return None
    if parameter.choices:
        return text if text in parameter.places else None
    number = _parse_number(text)
    return None if number is None or (parameter.log and number <= 0) else number


def merge_branches(space: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return one parameter per Config field, whose range covers those of all its branches."""
    fields: dict[str, Parameter] = {}
    for p in space:
        p = replace(p, name=p.field, own_key=p.key)
        seen = fields.setdefault(p.field, p)
        if seen is p:
            continue
        if not seen.choices and not p.choices:
            low, high = min(seen.low, p.low), max(seen.high, p.high)
            fields[p.field] = replace(seen, low=low, high=high, log=seen.log and p.log)
        else:
            both = dict.fromkeys([*seen.choices, *p.choices])
            fields[p.field] = replace(seen, low=math.nan, high=math.nan, choices=tuple(both))
    return tuple(fields.values())


def _is_active(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> bool:
    branch = parameter.branch
    if not branch:
        return True
    deciding = [p for p in space if branch in p.places]
    return not deciding or any(trial.params.get(p.key) == branch for p in deciding)


def _parse(
    name: str, about: Mapping[str, Any], tried: Mapping[str, Mapping[str, None]]
) -> Parameter:
    own = "" if about.get("field", name) is not None else SUGGESTED + name
    own = str(about["field"]) if about.get("field") else own
    if about["type"] == "categorical":
        seen = tried.get(own or name.partition(".")[0], {})
        choices = tuple(_find_text(choice, seen) for choice in about["choices"])
        return Parameter(name, choices=choices, own_key=own)
    return Parameter(
        name,
        float(about["low"]),
        float(about["high"]),
        bool(about.get("log")),
        about["type"] == "int",
        about.get("step"),
        own_key=own,
    )


def _find_text(choice: Any, seen: Mapping[str, None]) -> str:
    # As `searchspaces.codec.to_text` has written it: a text that looks like a number is quoted.
    if isinstance(choice, str):
        return quoted if choice not in seen and (quoted := json.dumps(choice)) in seen else choice
    return str(choice) if choice is None or isinstance(choice, bool) else json.dumps(choice)


def _widen(p: Parameter, search: Search, tried: Iterable[str]) -> Parameter:
    """Return a parameter with all choices tried, and with the range of all suggested values."""
    if p.choices:
        texts = [text for text in tried if text not in p.places]
        return replace(p, choices=(*p.choices, *texts)) if texts and not p.branch else p
    enqueued = search.tags.get("enqueued", "")
    first = int(enqueued) if enqueued.isdigit() else 1
    if p.branch:
        return p
    drawn = [
        value
        for trial in search.trials
        if trial.number >= first
        and (value := find_any_value((), p, trial)) is not None
        and find_value((), p, trial) is None
    ]
    if not drawn:
        return p
    return replace(p, low=min(p.low, *drawn), high=max(p.high, *drawn), varies=True)


def _infer(tried: Mapping[str, Iterable[str]]) -> list[Parameter]:
    inferred = []
    for name, texts in sorted(tried.items()):
        seen = list(texts)
        if name in NOT_SEARCHED or len(seen) < 2:
            continue
        numbers = [number for text in seen if (number := _parse_number(text)) is not None]
        if len(numbers) < len(seen):
            choices = tuple(sorted(seen)[:50])
            inferred.append(Parameter(name, choices=choices, declared=False, own_key=name))
            continue
        low, high = min(numbers), max(numbers)
        whole = all(number.is_integer() for number in numbers)
        wide = low > 0 and high / low >= 50
        inferred.append(Parameter(name, low, high, wide, whole, declared=False, own_key=name))
    return inferred


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
