"""The groups of a comparison: trials with the same values of the compared hyperparameters."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from reports.numbers.statistics import Interval, mean_interval
from reports.read.winner import LOST, find_worst, rank_trials
from reports.records import Search, TrialRecord
from reports.write.tables import format_value


@dataclass(frozen=True)
class Group:
    """Trials with the same values of the compared hyperparameters, best first."""

    values: tuple[str, ...]
    trials: tuple[TrialRecord, ...]  # complete, with a score
    tried: tuple[TrialRecord, ...]  # all
    worst: float = math.nan  # of all trials of the search: the score of a lost one

    @property
    def best(self) -> TrialRecord:
        """Return the best complete trial."""
        return self.trials[0]

    @property
    def scores(self) -> list[float]:
        """Return the scores of the complete trials, best first."""
        return [trial.metrics["score"] for trial in self.trials]

    @property
    def outcomes(self) -> list[float]:
        """Return the scores of the complete trials, and the worst one for each that was lost.

        Without the lost ones an unstable setting would be judged by its lucky seeds.
        """
        return [*self.scores, *(self.worst for t in self.tried if t.outcome in LOST)]

    @property
    def mean(self) -> float:
        """Return the mean of the outcomes."""
        return float(np.mean(self.outcomes))

    @property
    def interval(self) -> Interval:
        """Return the mean with Student's t-interval, whose ends are unknown with lost trials."""
        lost = len(self.outcomes) > len(self.scores)
        return mean_interval([self.mean] if lost else self.scores)


def group_trials(search: Search) -> list[Group]:
    """Return trials grouped by the compared values, in the order of the first trial of each.

    If the enqueued trials repeat settings over seeds, only these are grouped: trials that the
    sampler added would mix another seed and other hyperparameters into the means.
    """
    by_values: dict[tuple[str, ...], list[TrialRecord]] = {}
    planned = find_enqueued(search)
    several = len({trial.params.get("seed") for trial in planned}) > 1
    for trial in planned if several else search.trials:
        if any(name in trial.params for name in search.compare):
            key = tuple(trial.params.get(name, "") for name in search.compare)
            by_values.setdefault(key, []).append(trial)
    worst = find_worst(search)
    return [
        Group(key, _rank_complete(search, found), tuple(found), worst)
        for key, found in by_values.items()
    ]


def find_enqueued(search: Search) -> list[TrialRecord]:
    """Return the trials that were enqueued before sampling: a grid or known configurations."""
    planned = search.tags.get("enqueued", "")
    return [t for t in search.trials if planned.isdigit() and t.number < int(planned)]


def is_repeated(found: Sequence[Group]) -> bool:
    """Return whether groups are settings repeated over seeds; some may have a single seed."""
    seeds = [[t.params.get("seed") for t in g.trials] for g in found]
    once = all(None not in row and len(set(row)) == len(row) for row in seeds)
    return once and any(len(row) > 1 for row in seeds)


def find_nuisances(found: Sequence[Group], compare: Sequence[str]) -> list[str]:
    """Return the hyperparameters, except compared ones and seed, that vary within a group."""
    return sorted({name for g in found for name in find_differing(g.trials, compare)})


def find_differing(trials: Sequence[TrialRecord], compare: Sequence[str]) -> list[str]:
    """Return the hyperparameters, except compared ones and seed, that differ between trials."""
    names = {name for trial in trials for name in trial.params} - {"seed", *compare}
    return sorted(n for n in names if len({trial.params.get(n) for trial in trials}) > 1)


def differ_in_compared_only(found: Sequence[Group], compare: Sequence[str]) -> bool:
    """Return whether each group is one trial, and these differ in nothing that is not compared.

    Else a group is the best of its trials, or one draw of other hyperparameters: among equally
    good groups a test of these trials would find a difference in up to 80 % of searches.
    """
    single = all(len(g.tried) == 1 for g in found)
    return single and not find_differing([g.best for g in found], compare)


def name_group(search: Search, group: Group) -> str:
    """Return `64`, or `blocks=2, skip=True` if several hyperparameters are compared.

    It is text of the user, to be escaped in sentences and figures.
    """
    if len(group.values) == 1:
        return format_value(group.values[0])
    pairs = zip(search.compare, group.values, strict=True)
    return ", ".join(f"{name}={format_value(value)}" for name, value in pairs)


def sort_by_values(found: Sequence[Group]) -> list[Group]:
    """Return groups sorted by value: numbers ascending, others in the order of first trials."""
    columns = list(zip(*(g.values for g in found), strict=True))
    places = [_find_places(column) for column in columns]
    return sorted(found, key=lambda g: [at[v] for at, v in zip(places, g.values, strict=True)])


def to_numbers(values: Sequence[str]) -> list[float] | None:
    """Return values as numbers; None if one is not a finite number."""
    try:
        found = [float(value) for value in values]
    except ValueError:
        return None
    return found if all(map(np.isfinite, found)) else None


def is_match(group: Group, of: Mapping[str, Any], compare: Sequence[str]) -> bool:
    """Return whether a group was run with these hyperparameters, compared or not."""
    known = {**group.tried[0].params, **dict(zip(compare, group.values, strict=True))}
    return all(name in known and is_same_value(known[name], value) for name, value in of.items())


def is_same_value(text: str, value: Any) -> bool:
    """Return whether a parameter as MLflow stores it (text) equals this value."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return text == str(value)
    if isinstance(value, int | float):
        found = to_numbers([text])
        return found is not None and bool(np.isclose(found[0], value, rtol=1e-9, atol=0))
    return "".join(text.split()) == "".join(str(value).replace("'", '"').split())


def _rank_complete(search: Search, trials: Sequence[TrialRecord]) -> tuple[TrialRecord, ...]:
    return tuple(t for t in rank_trials(search, trials) if t.outcome == "complete")


def _find_places(column: Sequence[str]) -> dict[str, float]:
    found = to_numbers(column)
    return dict(zip(column, found or map(column.index, column), strict=True))
