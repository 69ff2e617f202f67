"""The sealed test set: opened only after validation has chosen, and every opening on record.

A report shows no test score that is not on record, and opens nothing for a choice that another
choice may still replace.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from reports.numbers.statistics import Proportion, wilson_interval
from reports.read.holdout_log import (
    BY_HAND,
    KINDS,
    Opening,
    add_opening,
    build_entry,
    describe_model,
    find_kind,
    find_opening,
    read_openings,
)
from reports.read.predictions import Predictions, find_correct, read_examples, read_predictions
from reports.read.records import Tracker
from reports.records import Search, TrialRecord

CLOSED = "what the search has stored for it cannot be read"
"""Why nothing is opened where something is unreadable."""


@dataclass(frozen=True)
class OpenedTest:
    """The test set of a search: what of it is open, and what may be opened.

    `model` is the winner's run and `accuracy` its test accuracy; where there is none, `missing`
    says why. `broken` are the KINDS of entries for which the test set was opened before for
    others. `again` (`--open-test-again`) allows these to be opened once more. `unfinished` says
    why a search whose winner may still change has nothing opened. Nothing is opened either where
    something that the search has stored is unreadable.
    """

    tracker: Tracker
    search: Search
    model: TrialRecord | None = None
    accuracy: Proportion | None = None
    missing: str = ""
    broken: frozenset[str] = frozenset()
    again: bool = False
    unfinished: str = ""
    is_unreadable: bool = False

    def is_closed(self, entry: Opening) -> bool:
        """Return whether this must not be opened, unless it is on record."""
        closed = self.is_unreadable or bool(self.unfinished)
        return closed or (find_kind(entry) in self.broken and not self.again)

    def describe_rejection(self, entry: Opening, what: str) -> str:
        """Return why this entry is closed, and which option opens it for `what`."""
        if self.is_unreadable:
            return CLOSED
        if find_kind(entry) in self.broken:
            why, option = "the test set was opened before for others", "--open-test-again"
        else:
            why, option = f"the search is unfinished ({self.unfinished})", "--open-test"
        return f"{why}; `{option}` opens it for {what}, and that is counted"

    def mark(self, entry: Opening, picked: bool = True) -> Opening:
        """Return the entry, marked where only `--open-test-again` opens it."""
        by_option = self.again and (find_kind(entry) in self.broken or not picked)
        return {**entry, "again": True} if by_option else entry

    def read_openings(self) -> tuple[Opening, ...]:
        """Return all openings on record, as the server has them now."""
        return read_openings(self.tracker, self.search)

    def open_predictions(self, runs: Sequence[TrialRecord], entry: Opening) -> Predictions | None:
        """Return the test predictions of these runs, after putting the opening on record.

        `entry` says what they are opened as; an entry that is on record is not written again.
        Returns None, and records nothing, where the entry is closed or where one of the runs has
        no usable test predictions.
        """
        known = find_opening(self.read_openings(), entry)
        if known is None and self.is_closed(entry):
            return None
        found = self._read(runs)
        if found is not None and known is None:
            add_opening(self.tracker, self.search, {**entry, "n": len(found.examples)})
        return found

    def read_winner_predictions(self) -> Predictions | None:
        """Return the winner's test predictions where they are open; opens nothing."""
        if self.model is None or self.accuracy is None:
            return None
        return self._read([self.model])

    def open_accuracy(self) -> "OpenedTest":
        """Return this with the test accuracy of the winner, or with the reason why it is missing.

        The accuracy is that on record where there is one. Raises UserError where predictions and
        examples do not belong together, or where the opening cannot be put on record.
        """
        assert self.model is not None
        openings, entry = self.read_openings(), build_entry(self.model)
        known = find_recorded_accuracy(openings, self.model)
        if known is not None:
            return replace(self, accuracy=known)
        if self.is_closed(entry):
            return replace(self, missing=self._describe_closed(openings, self.model))
        found = self._read([self.model])
        if found is None:
            return replace(self, missing="no usable test predictions of it are stored")
        correct = int(find_correct(found.outputs[0], found.examples.targets).sum())
        accuracy = wilson_interval(correct, len(found.examples))
        entry = {**entry, "accuracy": accuracy.value, "n": accuracy.n, "correct": correct}
        add_opening(self.tracker, self.search, self.mark(entry))
        return replace(self, accuracy=accuracy)

    def _describe_closed(self, openings: Sequence[Opening], model: TrialRecord) -> str:
        last = next((o for o in reversed(openings) if "trial" in o), None)
        if last is None:
            return self.describe_rejection(build_entry(model), model.title)
        return (
            f"the test set was opened before for {describe_model(last)} on "
            f"{str(last.get('time'))[:10]}; `--open-test-again` opens it for {model.title}, and "
            "that is counted"
        )

    def _read(self, runs: Sequence[TrialRecord]) -> Predictions | None:
        examples = read_examples(self.tracker, self.search, "test")
        if examples is None:
            return None
        found = read_predictions(self.tracker, self.search, runs, examples)
        return found if len(found.runs) == len(runs) else None


def seal_test(
    tracker: Tracker,
    search: Search,
    model: TrialRecord | None,
    again: bool = False,
    early: bool = False,
) -> OpenedTest:
    """Return the test set as a report of this winner's run finds it, with nothing opened yet.

    Everything is closed where the test set was opened before for another winner, and in an
    unfinished search, unless `early` (`--open-test`) or `again` asks for it.
    """
    if model is None:
        return OpenedTest(tracker, search)
    before = [o for o in read_openings(tracker, search) if o.get("ensemble") != BY_HAND]
    broken = {find_kind(opening) for opening in before}
    changed = "trial" in broken and not find_opening(before, build_entry(model))
    return OpenedTest(
        tracker,
        search,
        model,
        broken=frozenset(KINDS if changed else broken),
        again=again,
        unfinished="" if again or early else search.unfinished,
    )


def open_test(
    tracker: Tracker,
    search: Search,
    model: TrialRecord | None,
    again: bool = False,
    early: bool = False,
) -> OpenedTest:
    """Return the test set of a search, opened for the winner's run as far as is allowed."""
    sealed = seal_test(tracker, search, model, again, early)
    return sealed.open_accuracy() if model is not None else sealed


def find_recorded_accuracy(openings: Sequence[Opening], model: TrialRecord) -> Proportion | None:
    """Return the test accuracy of a run for which the test set was opened before."""
    known = find_opening(openings, build_entry(model))
    return None if known is None else wilson_interval(int(known["correct"]), int(known["n"]))
