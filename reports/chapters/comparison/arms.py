"""The arms of a search that tuned each of them: their trials, and the re-runs of their best."""

from collections.abc import Sequence
from dataclasses import dataclass

from reports.chapters.comparison.groups import Group
from reports.chapters.comparison.pairs import Pair
from reports.read.winner import group_reruns, rank_trials
from reports.records import Search, TrialRecord


@dataclass(frozen=True)
class TunedArm:
    """An arm: its trials in the order of their suggestion, and its best complete one.

    `group` has the complete re-runs of the best trial as `trials`, and all of them as `tried`.
    """

    tried: tuple[TrialRecord, ...]
    best: TrialRecord | None
    group: Group

    @property
    def lost(self) -> int:
        """Return how many re-runs have ended without being complete."""
        return sum(run.outcome not in ("complete", "unfinished") for run in self.group.tried)


def find_arms(search: Search) -> list[TunedArm]:
    """Return the arms in their order; none for a search that has not tuned any."""
    own: dict[int, list[TrialRecord]] = {}
    for trial in search.trials:
        if trial.tags.get("arm", "").isdigit():
            own.setdefault(int(trial.tags["arm"]), []).append(trial)
    complete = group_reruns(search)
    return [_make_arm(search, trials, complete) for _, trials in sorted(own.items())]


def _make_arm(
    search: Search, trials: list[TrialRecord], complete: dict[int, tuple[TrialRecord, ...]]
) -> TunedArm:
    ranked = [t for t in rank_trials(search, trials) if t.outcome == "complete"]
    best = ranked[0] if ranked else None
    values = tuple(trials[0].params.get(name, "") for name in search.compare)
    again = [run for run in search.reruns if best is not None and run.of == best.number]
    runs = rank_trials(search, complete.get(best.number, ())) if best else []
    return TunedArm(tuple(trials), best, Group(values, tuple(runs), tuple(again)))


def find_letters(order: Sequence[Group], found: Sequence[Pair]) -> dict[tuple[str, ...], str]:
    """Return letters by the values of groups: two share one unless they differ significantly.

    The compact letter display by insertion and absorption (Piepho, 2004).
    """
    tested = [g.values for g in order if any(g in (p.first, p.second) for p in found)]
    columns = [frozenset(tested)] if tested else []
    for pair in found:
        one, two = pair.first.values, pair.second.values
        if pair.is_significant:
            split = [
                part
                for column in columns
                for part in (
                    (column - {one}, column - {two}) if {one, two} <= column else (column,)
                )
            ]
            distinct = list(dict.fromkeys(split))
            columns = [c for c in distinct if not any(c < other for other in distinct)]
    columns.sort(key=lambda column: [values not in column for values in tested])
    names = [_name_letter(place) for place in range(len(columns))]
    return {
        values: " ".join(n for n, column in zip(names, columns, strict=True) if values in column)
        for values in tested
    }


def _name_letter(place: int) -> str:
    return chr(ord("a") + place % 26) * (1 + place // 26)


def find_stable_budget(
    curves: Sequence[Sequence[float]], ordered: Sequence[tuple[int, int]]
) -> int | None:
    """Return the first budget, from 1, from which on these pairs of curves are in this order.

    `curves` has the score of each arm by budget, larger is better; `ordered` has pairs of arms,
    the better one first. Two that are equal at a budget are in any order. None where a pair is
    not in its order at the last budget.
    """
    stable = None
    for k in range(len(curves[0]) - 1, -1, -1):
        if any(curves[better][k] < curves[worse][k] for better, worse in ordered):
            break
        stable = k + 1
    return stable
