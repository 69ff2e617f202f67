"""The searched hyperparameters with their ranges, as the search itself wrote them down."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.read.records import Tracker, download_artifact
from reports.records import Search, TrialRecord

NOT_SEARCHED = ("seed",)  # repeats a trial; it has no better values


@dataclass(frozen=True)
class Parameter:
    """A range that was searched: a Config field, or `field.branch` where the range depends."""

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    step: float | None = None
    choices: tuple[str, ...] = ()  # not empty: a categorical one
    declared: bool = True  # False: guessed from the values that were tried

    @property
    def field(self) -> str:
        """The Config field that it sets."""
        return self.name.partition(".")[0]

    @property
    def branch(self) -> str:
        """The value of another hyperparameter under which it is searched; empty for always."""
        return self.name.partition(".")[2]

    def find_position(self, value: float | str) -> float:
        """Where a value lies between the ends of the range, 0 to 1, in log scale where it is."""
        if self.choices:
            return self.choices.index(str(value)) / max(1, len(self.choices) - 1)
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5


def read_space(tracker: Tracker, search: Search) -> tuple[Parameter, ...]:
    """What differed between trials, compared ones first; a range not on record is guessed."""
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifact(tracker, search.run_id, "search.json", Path(folder))
        settings = json.loads(path.read_text(encoding="utf-8")) if path else {}
    declared = settings.get("parameters") if isinstance(settings, dict) else None
    found = (
        [_declared(name, about) for name, about in declared.items()]
        if declared
        else _guessed(search)
    )
    tried: dict[str, set[str]] = {}
    for trial in search.trials:
        for field, text in trial.params.items():
            tried.setdefault(field, set()).add(text)
    varied = [p for p in found if len(tried.get(p.field, ())) > 1]
    return tuple(sorted(varied, key=lambda p: p.field not in search.compare))


def find_value(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> Any:
    """A trial's value, a float or a choice; None where it has none or one outside the range."""
    text = trial.params.get(parameter.field)
    if text is None or not _chosen(space, parameter, trial):
        return None
    if parameter.choices:
        return text if text in parameter.choices else None
    number = _number(text)
    slack = 1e-9 * max(abs(parameter.low), abs(parameter.high))
    if number is None or not parameter.low - slack <= number <= parameter.high + slack:
        return None  # set by hand, or of another branch
    return min(max(number, parameter.low), parameter.high)


def merge_branches(space: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """One entry per Config field, its range that of all its branches together."""
    fields: dict[str, Parameter] = {}
    for p in space:
        seen = fields.get(p.field)
        if seen is None:
            fields[p.field] = _renamed(p, p.low, p.high, p.choices)
        elif not seen.choices and not p.choices:
            fields[p.field] = _renamed(
                seen, min(seen.low, p.low), max(seen.high, p.high), (), seen.log and p.log
            )
        else:
            both = dict.fromkeys([*seen.choices, *p.choices])
            fields[p.field] = _renamed(seen, math.nan, math.nan, tuple(both))
    return tuple(fields.values())


def _renamed(
    p: Parameter, low: float, high: float, choices: tuple[str, ...], log: bool | None = None
) -> Parameter:
    log = p.log if log is None else log
    return Parameter(p.field, low, high, log, p.whole, p.step, choices, p.declared)


def _chosen(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> bool:
    branch = parameter.branch
    if not branch:
        return True
    deciding = [p for p in space if branch in p.choices]
    return not deciding or any(trial.params.get(p.field) == branch for p in deciding)


def _declared(name: str, about: Mapping[str, Any]) -> Parameter:
    if about["type"] == "categorical":
        return Parameter(name, choices=tuple(str(choice) for choice in about["choices"]))
    return Parameter(
        name,
        float(about["low"]),
        float(about["high"]),
        bool(about.get("log")),
        about["type"] == "int",
        about.get("step"),
    )


def _guessed(search: Search) -> list[Parameter]:
    texts: dict[str, list[str]] = {}
    for trial in search.trials:
        for name, text in trial.params.items():
            if name not in NOT_SEARCHED:
                texts.setdefault(name, []).append(text)
    guesses = []
    for name, seen in sorted(texts.items()):
        numbers = [number for text in seen if (number := _number(text)) is not None]
        if len(numbers) < len(seen):
            guesses.append(Parameter(name, choices=tuple(sorted(set(seen))[:50]), declared=False))
            continue
        low, high = min(numbers), max(numbers)
        whole = all(number.is_integer() for number in numbers)
        wide = low > 0 and high / low >= 50
        guesses.append(Parameter(name, low, high, wide, whole, declared=False))
    return guesses


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
