"""Scores of a run on the sealed test set, which its opening puts on record as a report does."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reports.numbers.scores import score_outputs
from reports.numbers.statistics import Interval
from reports.read.artifacts import PREDICTIONS, has_artifact
from reports.read.holdout_log import (
    KINDS,
    add_opening,
    build_entry,
    describe_openings,
    find_opening,
    read_openings,
    read_other_openings,
)
from reports.read.opened_test import TEST, OpenedTest, open_test, seal_test
from reports.read.records import Tracker
from reports.read.winner import choose_winner
from reports.records import Search, TrialRecord
from trainables.errors import UserError

Scores = Mapping[str, Interval]


@dataclass(frozen=True)
class Allowed:
    """What a user allows: `again` is --open-test-again, `early` is --open-test."""

    again: bool = False
    early: bool = False


def open_scores(
    tracker: Tracker,
    search: Search,
    run: TrialRecord,
    allowed: Allowed,
    *,
    is_text: bool,
    compute: Callable[[], Scores],
) -> tuple[Scores, str]:
    """Return the test scores of a run, and a sentence on all openings of the test set.

    Stored predictions are opened as a report opens them; `compute` scores a model that has none.
    Raises UserError where the test set is closed for this run.
    """
    choice = choose_winner(search)
    is_winner = choice is not None and run is choice.model
    known = find_opening(read_openings(tracker, search), build_entry(run))
    if not (is_winner or known or allowed.again):
        raise UserError(
            f"Validation did not choose {run.title} of {search.name}: choosing by its test scores "
            "would turn the test set into a validation set.\nTo open it for this run all the "
            "same, which is recorded and reported, add --open-test-again."
        )
    closed = OpenedTest(tracker, search, run, broken=frozenset(KINDS), again=allowed.again)
    if not has_artifact(tracker, run, PREDICTIONS, TEST):
        sealed = seal_test(tracker, search, run, allowed.again, allowed.early)
        scores = _open_computed(sealed if is_winner else closed, run, compute)
    else:
        test = (
            open_test(tracker, search, choice, allowed.again, allowed.early)
            if is_winner
            else closed.open_accuracy()
        )
        scores = _read_opened(test, is_text)
    others = read_other_openings(tracker, search)
    return scores, describe_openings(read_openings(tracker, search), others).replace("**", "")


def _open_computed(test: OpenedTest, run: TrialRecord, compute: Callable[[], Scores]) -> Scores:
    entry = build_entry(run)
    known = find_opening(test.read_openings(), entry)
    if known is None and test.is_closed(entry):
        raise UserError(f"No test score: {test.describe_rejection(entry, run.title)}.")
    scores = compute()
    if known is None:
        counts = count_correct(scores)
        add_opening(test.tracker, test.search, test.mark({**entry, **counts}))
    return scores


def _read_opened(test: OpenedTest, is_text: bool) -> Scores:
    found = test.read_winner_predictions()
    if test.accuracy is None or found is None:
        raise UserError(f"No test score: {test.missing or 'no predictions are stored'}.")
    scores = score_outputs(found.outputs[0], found.examples.targets, is_text)
    return scores if test.confirmed is None else {**scores, "mean accuracy": test.confirmed}


def count_correct(scores: Scores) -> dict[str, int]:
    """Return what the record of an opening has of scores: examples, and how many are correct."""
    n = next(iter(scores.values())).n
    share = next((scores[name] for name in ("accuracy", "exact match") if name in scores), None)
    return {"n": n, **({} if share is None else {"correct": round(share.value * n)})}
