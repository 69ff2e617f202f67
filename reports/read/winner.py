"""The sealed test set: the winner is picked on validation, and only then is it opened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reports.numbers.statistics import Proportion, finite, ranked, wilson
from reports.read.holdout_log import (
    INTACT,
    Opening,
    Seal,
    add_opening,
    opened_as,
    read_openings,
    recorded,
    refusal,
)
from reports.read.predictions import Predicted, read_examples, read_predictions, right
from reports.read.records import Tracker
from reports.records import Search, TrialRecord

SEEDS = 2  # re-runs that a configuration must have before its mean can decide


@dataclass(frozen=True)
class Choice:
    """Candidates ranked on validation, the winner first."""

    candidates: tuple[TrialRecord, ...]
    only_complete: bool  # False: no trial was complete, so all with a score are candidates
    confirmed: bool = False  # True: the winner has the best mean over fresh seeds
    rerun: TrialRecord | None = None  # of a confirmed winner that was itself cut short

    @property
    def winner(self) -> TrialRecord:
        return self.candidates[0]

    @property
    def model(self) -> TrialRecord:
        """The run whose weights and predictions are the winner's."""
        return self.rerun or self.winner


@dataclass(frozen=True)
class Opened:
    """What opening the winner's test predictions showed."""

    accuracy: Proportion | None
    missing: str = ""  # why there is no accuracy


def choose(search: Search) -> Choice | None:
    """Complete trials by their validation score; every scored trial if none is complete.

    Where configurations were run again, the one of the best mean over fresh seeds wins, since a
    search score is flattered by having been the best of many. Where that one was stopped before
    its full budget, the best of its complete re-runs is its model.
    """
    scored = [trial for trial in search.trials if finite(trial.metrics.get("score"))]
    complete = [trial for trial in scored if trial.outcome == "complete"]
    pool = ranked(complete or scored, lambda trial: trial.metrics["score"], search.mode)
    best = next(iter(confirmed_ranking(search)), None)
    first = [trial for trial in scored if trial.number == best]
    pool = first + [trial for trial in pool if trial not in first]
    if not pool:
        return None
    cut = [trial for trial in first if trial.outcome != "complete"]
    reruns = confirmed(search)[cut[0].number] if cut else ()
    best_rerun = next(iter(ranked(reruns, lambda r: r.metrics["score"], search.mode)), None)
    return Choice(tuple(pool), bool(complete), bool(first), best_rerun)


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


def open_test(tracker: Tracker, search: Search, model: TrialRecord, seal: Seal = INTACT) -> Opened:
    """A model's test accuracy: from the record where it was opened before, else opened now.

    Raises ReportError where predictions and examples do not belong together, or where the
    opening cannot be put on record.
    """
    openings, entry = read_openings(tracker, search), opened_as(model)
    known = accuracy_on_record(openings, model)
    if known is not None:
        return Opened(known)
    if seal.closed(entry):
        return Opened(None, refusal(openings, model, seal))
    found = _read(tracker, search, [model])
    if found is None:
        return Opened(None, "no test predictions are stored for it that can be judged")
    correct = int(right(found.outputs[0], found.examples.targets).sum())
    accuracy = wilson(correct, len(found.examples))
    entry = {**entry, "accuracy": accuracy.value, "n": accuracy.n, "correct": correct}
    add_opening(tracker, search, seal.marked(entry))
    return Opened(accuracy)


def accuracy_on_record(openings: Sequence[Opening], model: TrialRecord) -> Proportion | None:
    """The test accuracy of a model for which the test set was opened before."""
    known = recorded(openings, opened_as(model))
    return None if known is None else wilson(int(known["correct"]), int(known["n"]))


def open_predictions(
    tracker: Tracker,
    search: Search,
    runs: Sequence[TrialRecord],
    entry: Opening,
    seal: Seal = INTACT,
) -> Predicted | None:
    """The test predictions of these runs, once it is on record that they are opened.

    `entry` says what they are opened as; what is on record in the same words is not written
    again. None, and no record, where the seal forbids it, or where one of them has no test
    predictions that can be judged.
    """
    known = recorded(read_openings(tracker, search), entry)
    if known is None and seal.closed(entry):
        return None
    found = _read(tracker, search, runs)
    if found is not None and known is None:
        add_opening(tracker, search, {**entry, "n": len(found.examples)})
    return found


def _read(tracker: Tracker, search: Search, runs: Sequence[TrialRecord]) -> Predicted | None:
    examples = read_examples(tracker, search, "test")
    if examples is None:
        return None
    found = read_predictions(tracker, search, runs, examples)
    return found if len(found.runs) == len(runs) else None
