"""The sealed test set: the winner is picked on validation, and only then is it opened."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from reports.predictions import Predicted, read_examples, read_predictions, right
from reports.records import Tracker, add_opening, read_openings
from reports.search import Search, TrialRecord
from reports.statistics import Proportion, finite, ranked, wilson
from reports.tables import joined

SEEDS = 2  # re-runs that a configuration must have before its mean can decide
NAMED = 8  # members of an ensemble that a sentence names


@dataclass(frozen=True)
class Choice:
    """Candidates ranked on validation, the winner first."""

    candidates: tuple[TrialRecord, ...]
    only_complete: bool  # False: no trial was complete, so all with a score are candidates
    confirmed: bool = False  # True: the winner has the best mean over fresh seeds

    @property
    def winner(self) -> TrialRecord:
        return self.candidates[0]


@dataclass(frozen=True)
class Opened:
    """What opening the winner's test predictions showed, and all openings of this search."""

    accuracy: Proportion | None
    openings: tuple[Mapping[str, Any], ...]
    missing: str = ""  # why there is no accuracy


def choose(search: Search) -> Choice | None:
    """Complete trials by their validation score; every scored trial if none is complete.

    Where configurations were run again, the one of the best mean over fresh seeds wins, since a
    search score is flattered by having been the best of many.
    """
    scored = [trial for trial in search.trials if finite(trial.metrics.get("score"))]
    complete = [trial for trial in scored if trial.outcome == "complete"]
    pool = ranked(complete or scored, lambda trial: trial.metrics["score"], search.mode)
    best = next(iter(confirmed_ranking(search)), None)
    first = [trial for trial in scored if trial.number == best]
    pool = first + [trial for trial in pool if trial not in first]
    return Choice(tuple(pool), bool(complete), bool(first)) if pool else None


def confirmed(search: Search) -> dict[int, tuple[TrialRecord, ...]]:
    """Complete re-runs with a score by the trial they repeat; a seed run twice counts once."""
    found: dict[int, dict[str, TrialRecord]] = {}
    for run in search.reruns:
        if run.of is not None and run.outcome == "complete" and finite(run.metrics.get("score")):
            found.setdefault(run.of, {})[run.params.get("seed", run.label)] = run
    return {of: tuple(by_seed.values()) for of, by_seed in sorted(found.items())}


def confirmed_ranking(search: Search) -> list[int]:
    """Configurations with at least SEEDS re-runs, by the mean of these, best first."""
    known = {trial.number for trial in search.trials if finite(trial.metrics.get("score"))}
    means = {
        of: float(np.mean([run.metrics["score"] for run in runs]))
        for of, runs in confirmed(search).items()
        if len(runs) >= SEEDS and of in known
    }
    return ranked(means, lambda of: means[of], search.mode)


def data_sizes(tracker: Tracker, search: Search) -> dict[str, int]:
    """Number of examples of the splits whose ids the search has stored; opens no prediction."""
    sizes = {}
    for split in ("validation", "test"):
        examples = read_examples(tracker, search, split)
        if examples is not None:
            sizes[split] = len(examples)
    return sizes


def open_test(tracker: Tracker, search: Search, winner: TrialRecord) -> Opened:
    """The winner's test accuracy, from the record where it was opened before.

    Raises ReportError where predictions and examples do not belong together, or where the
    opening cannot be put on record.
    """
    openings = read_openings(tracker, search)
    for opening in openings:
        if opening.get("trial") == winner.number:
            return Opened(wilson(int(opening["correct"]), int(opening["n"])), openings)
    found = _read(tracker, search, [winner])
    if found is None:
        return Opened(None, openings, "no test predictions are stored for it that can be judged")
    correct = int(right(found.outputs[0], found.examples.targets).sum())
    accuracy = wilson(correct, len(found.examples))
    entry = {"trial": winner.number, "accuracy": accuracy.value, "n": accuracy.n}
    return Opened(accuracy, _record(tracker, search, {**entry, "correct": correct}))


def open_predictions(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord], entry: Mapping[str, Any]
) -> Predicted | None:
    """The test predictions of these runs, once it is on record that they are opened.

    `entry` says what they are opened as; what is on record in the same words is not written
    again. None, and no record, where one of them has no test predictions that can be judged.
    """
    found = _read(tracker, search, runs)
    if found is None:
        return None
    if not recorded(read_openings(tracker, search), entry):
        _record(tracker, search, {**entry, "n": len(found.examples)})
    return found


def recorded(openings: Sequence[Mapping[str, Any]], entry: Mapping[str, Any]) -> bool:
    """Whether the test set was opened for this before."""
    wanted = {key: value for key, value in entry.items() if key != "again"}
    return any(wanted == {key: o.get(key) for key in wanted} for o in openings)


def _read(tracker: Tracker, search: Search, runs: Sequence[TrialRecord]) -> Predicted | None:
    examples = read_examples(tracker, search, "test")
    if examples is None:
        return None
    found = read_predictions(tracker, search, runs, examples)
    return found if len(found.runs) == len(runs) else None


def _record(
    tracker: Tracker, search: Search, entry: Mapping[str, Any]
) -> tuple[Mapping[str, Any], ...]:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return add_opening(tracker, search, {"time": now, **entry})


def openings_text(openings: Sequence[Mapping[str, Any]]) -> str:
    """How often, when and for what the test set was opened, in one sentence."""
    if not openings:
        return "The test set of this search has not been opened."
    times = {1: "once", 2: "twice"}.get(len(openings), f"{len(openings)} times")
    each = "; ".join(_opening_text(opening) for opening in openings)
    again = sum(bool(opening.get("again")) for opening in openings)
    asked = f" Of these, {again} by `--open-test-again`." if again else ""
    return f"The test set of this search was opened {times}: {each}.{asked}"


def winner_changed(openings: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the test set was opened for one winner, and later for another."""
    return len({opening["trial"] for opening in openings if "trial" in opening}) > 1


def _opening_text(opening: Mapping[str, Any]) -> str:
    time = opening.get("time")
    if "reruns_of" in opening:
        runs = len(opening.get("runs", ()))
        return f"for {runs} re-runs of trial {opening['reruns_of']} at {time}"
    if "ensemble" in opening:
        members = list(opening.get("members", ()))
        more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
        names = ", ".join(members[:NAMED]) + more if more else joined(members)
        return f'for the ensemble "{opening["ensemble"]}" of {names} at {time}'
    counts = f"({opening.get('correct')} of {opening.get('n')} right)"
    return f"for trial {opening.get('trial')} at {time} {counts}"
