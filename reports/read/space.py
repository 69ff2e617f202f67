"""Read the searched hyperparameters with their ranges from a search's `search.json`."""

import json
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reports.read.records import Tracker, download_artifact
from reports.records import Search, TrialRecord

NOT_SEARCHED = ("seed",)  # a seed has no better values


@dataclass(frozen=True)
class Parameter:
    """A searched range of a Config field; `field.branch` is a conditional one."""

    name: str
    low: float = math.nan
    high: float = math.nan
    log: bool = False
    whole: bool = False
    step: float | None = None
    choices: tuple[str, ...] = ()  # empty: not categorical
    declared: bool = True  # False: inferred from the values of the trials

    @property
    def field(self) -> str:
        """Return the Config field that it sets."""
        return self.name.partition(".")[0]

    @property
    def branch(self) -> str:
        """Return the value of another hyperparameter that it depends on; empty: always used."""
        return self.name.partition(".")[2]

    def find_position(self, value: float | str) -> float:
        """Return where a value lies in the range, 0 to 1, in log scale for a log range."""
        if self.choices:
            return self.choices.index(str(value)) / max(1, len(self.choices) - 1)
        low, high, at = self.low, self.high, float(value)
        if self.log:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return (at - low) / (high - low) if high > low else 0.5


def read_space(tracker: Tracker, search: Search) -> tuple[Parameter, ...]:
    """Return the parameters that differ between trials, compared ones first.

    Ranges that are not stored are inferred from the trials.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifact(tracker, search.run_id, "search.json", Path(folder))
        settings = json.loads(path.read_text(encoding="utf-8")) if path else {}
    declared = settings.get("parameters") if isinstance(settings, dict) else None
    found = (
        [_parse(name, about) for name, about in declared.items()] if declared else _infer(search)
    )
    tried: dict[str, set[str]] = {}
    for trial in search.trials:
        for field, text in trial.params.items():
            tried.setdefault(field, set()).add(text)
    varied = [p for p in found if len(tried.get(p.field, ())) > 1]
    return tuple(sorted(varied, key=lambda p: p.field not in search.compare))


def find_value(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> Any:
    """Return a trial's value, a float or a choice; None without one or outside the range."""
    text = trial.params.get(parameter.field)
    if text is None or not _is_active(space, parameter, trial):
        return None
    if parameter.choices:
        return text if text in parameter.choices else None
    number = _parse_number(text)
    slack = 1e-9 * max(abs(parameter.low), abs(parameter.high))
    if number is None or not parameter.low - slack <= number <= parameter.high + slack:
        return None  # set with --set, or of another branch
    return min(max(number, parameter.low), parameter.high)


def merge_branches(space: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """Return one parameter per Config field, whose range covers those of all its branches."""
    fields: dict[str, Parameter] = {}
    for p in space:
        seen = fields.get(p.field)
        if seen is None:
            fields[p.field] = _with_range(p, p.low, p.high, p.choices)
        elif not seen.choices and not p.choices:
            fields[p.field] = _with_range(
                seen, min(seen.low, p.low), max(seen.high, p.high), (), seen.log and p.log
            )
        else:
            both = dict.fromkeys([*seen.choices, *p.choices])
            fields[p.field] = _with_range(seen, math.nan, math.nan, tuple(both))
    return tuple(fields.values())


def _with_range(
    p: Parameter, low: float, high: float, choices: tuple[str, ...], log: bool | None = None
) -> Parameter:
    log = p.log if log is None else log
    return Parameter(p.field, low, high, log, p.whole, p.step, choices, p.declared)


def _is_active(space: tuple[Parameter, ...], parameter: Parameter, trial: TrialRecord) -> bool:
    branch = parameter.branch
    if not branch:
        return True
    deciding = [p for p in space if branch in p.choices]
    return not deciding or any(trial.params.get(p.field) == branch for p in deciding)


def _parse(name: str, about: Mapping[str, Any]) -> Parameter:
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


def _infer(search: Search) -> list[Parameter]:
    texts: dict[str, list[str]] = {}
    for trial in search.trials:
        for name, text in trial.params.items():
            if name not in NOT_SEARCHED:
                texts.setdefault(name, []).append(text)
    inferred = []
    for name, seen in sorted(texts.items()):
        numbers = [number for text in seen if (number := _parse_number(text)) is not None]
        if len(numbers) < len(seen):
            inferred.append(Parameter(name, choices=tuple(sorted(set(seen))[:50]), declared=False))
            continue
        low, high = min(numbers), max(numbers)
        whole = all(number.is_integer() for number in numbers)
        wide = low > 0 and high / low >= 50
        inferred.append(Parameter(name, low, high, wide, whole, declared=False))
    return inferred


def _parse_number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
