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


@dataclass(frozen=True)
class Parameter:
    """A searched range; `field` is the Config field that has its value.

    A parameter of one branch is such as `learning_rate.sgd`. One that is no field is `derived`.
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
    own_field: str = ""  # where the name does not tell it
    derived: bool = False  # True: no Config field has its value

    @cached_property
    def field(self) -> str:
        """Return the Config field that it sets, or its own name where it is none."""
        return self.name if self.derived else self.own_field or self.name.partition(".")[0]

    @cached_property
    def branch(self) -> str:
        """Return the value of another hyperparameter that it depends on; empty: always used."""
        return self.name.partition(".")[2] if self.name != self.field else ""

    def get_text(self, trial: TrialRecord) -> str | None:
        """Return a trial's value as it is recorded, in the range or not."""
        return (trial.suggested if self.derived else trial.params).get(self.field)

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
    fields = _collect_texts(trial.params for trial in search.trials)
    suggested = _collect_texts(trial.suggested for trial in search.trials)
    found = []
    for name, about in (declared if isinstance(declared, dict) else {}).items():
        p = _parse(name, about)
        tried = (suggested if p.derived else fields).get(p.field, {})
        found.append((_parse_choices(p, about, tried), tried))
    known = [_widen(p, search, tried) for p, tried in found if len(tried) > 1]
    if not found or any(p.derived and not tried for p, tried in found):
        # No ranges, or derived values that are not recorded: the fields themselves are shown.
        taken = {p.field for p, _ in found if not p.derived}
        known += _infer({name: texts for name, texts in fields.items() if name not in taken})
    return tuple(sorted(known, key=lambda p: p.field not in search.compare))


def _collect_texts(values: Iterable[Mapping[str, str]]) -> dict[str, dict[str, None]]:
    """Return the different texts of each name, in the order of their first trials."""
    tried: dict[str, dict[str, None]] = {}
    for of_trial in values:
        for name, text in of_trial.items():
            tried.setdefault(name, {}).setdefault(text)
    return tried


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
    text = parameter.get_text(trial)
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
        p = replace(p, name=p.field, own_field=p.field)
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
    return not deciding or any(p.get_text(trial) == branch for p in deciding)


def _parse(name: str, about: Mapping[str, Any]) -> Parameter:
    field = about.get("field", "")  # null: derived; missing in older searches
    own, derived = str(field or ""), field is None
    if about["type"] == "categorical":
        return Parameter(name, own_field=own, derived=derived)
    return Parameter(
        name,
        float(about["low"]),
        float(about["high"]),
        bool(about.get("log")),
        about["type"] == "int",
        about.get("step"),
        own_field=own,
        derived=derived,
    )


def _parse_choices(p: Parameter, about: Mapping[str, Any], tried: Mapping[str, None]) -> Parameter:
    choices = tuple(_find_text(choice, tried) for choice in about.get("choices", ()))
    return replace(p, choices=choices)


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
    slack = 1e-9 * max(abs(p.low), abs(p.high))
    numbers = [number for text in tried if (number := _parse_number(text)) is not None]
    if p.branch or all(p.low - slack <= number <= p.high + slack for number in numbers):
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
            inferred.append(Parameter(name, choices=choices, declared=False, own_field=name))
            continue
        low, high = min(numbers), max(numbers)
        whole = all(number.is_integer() for number in numbers)
        wide = low > 0 and high / low >= 50
        inferred.append(Parameter(name, low, high, wide, whole, declared=False, own_field=name))
    return inferred


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
