"""The sealed test set: opened only after validation has chosen, and every opening on record.

A report shows no test score that is not on record, and opens nothing for a choice that another
choice may still replace.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from reports.numbers.paired import Array
from reports.numbers.seeds import UNKNOWN, SeedVariance, accuracy_over_seeds, pool_seed_variance
from reports.numbers.statistics import Interval, Proportion, wilson_interval
from reports.read.artifacts import PREDICTIONS, has_artifact
from reports.read.holdout_log import (
    BY_HAND,
    KINDS,
    Opening,
    add_opening,
    build_entry,
    describe_model,
    find_kind,
    find_opening,
    find_winner,
    read_openings,
)
from reports.read.predictions import Predictions, find_correct, read_examples, read_predictions
from reports.read.records import Tracker
from reports.read.winner import (
    Choice,
    group_reruns,
    list_compared,
    rank_confirmed,
    score_reruns,
)
from reports.records import Search, TrialRecord
from reports.write.tables import is_proportion, join_words

TEST = "predictions/test.parquet"
CLOSED = "what the search has stored for it cannot be read"
"""Why nothing is opened where something is unreadable."""


@dataclass(frozen=True)
class OpenedTest:
    """The test set of a search: what of it is open, and what may be opened.

    `model` is the winner's run and `accuracy` its test accuracy; where there is none, `missing`
    says why. `reruns` has which predictions are correct, (seeds, n), by the trial that was
    confirmed, and `seed_variance` how much all that were confirmed vary on validation. `broken`
    are the KINDS of entries for which the test set was opened before for others. `again`
    (`--open-test- again`) allows these to be opened once more. `unfinished` says why a search
    whose winner may still change has nothing opened. Nothing is opened either where something
    that the search has stored is unreadable.
    """

    tracker: Tracker
    search: Search
    model: TrialRecord | None = None
    accuracy: Proportion | None = None
    reruns: Mapping[int, Array] = field(default_factory=dict)
    seed_variance: SeedVariance = UNKNOWN
    missing: str = ""
    broken: frozenset[str] = frozenset()
    again: bool = False
    unfinished: str = ""
    is_unreadable: bool = False

    @property
    def confirmed(self) -> Interval | None:
        """Return the mean test accuracy over the winner's re-runs; None before they are open."""
        of = self.model.of if self.model else None
        return None if of is None or of not in self.reruns else self.find_mean(of)

    def find_mean(self, of: int) -> Interval:
        """Return the mean test accuracy over the re-runs of a trial that are open."""
        others = [runs for other, runs in self.reruns.items() if other != of]
        among = len(rank_confirmed(self.search))
        return accuracy_over_seeds(self.reruns[of], among, others)

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
            return replace(self, missing=self._describe_closed(openings, entry, self.model.title))
        found = self._read([self.model])
        if found is None:
            return replace(self, missing="no usable test predictions of it are stored")
        correct = int(find_correct(found.outputs[0], found.examples.targets).sum())
        accuracy = wilson_interval(correct, len(found.examples))
        entry = {**entry, "accuracy": accuracy.value, "n": accuracy.n, "correct": correct}
        add_opening(self.tracker, self.search, self.mark(entry))
        return replace(self, accuracy=accuracy)

    def open_reruns(self) -> "OpenedTest":
        """Return this with the test predictions of what a confirmation compares.

        Winner, runner-up and default are opened at once, as one opening; with `again` all others
        that were confirmed are opened as well.
        """
        assert self.model is not None
        groups = {
            of: runs
            for of, runs in group_reruns(self.search).items()
            if all(has_artifact(self.tracker, run, PREDICTIONS, TEST) for run in runs)
        }
        compared = [of for of in list_compared(self.search) if of in groups]
        if self.model.of not in compared:
            return replace(self, missing="not all of its re-runs have stored test predictions")
        together = [run for of in compared for run in groups[of]]
        entry = self.mark({"reruns_of": compared, "runs": [run.number for run in together]})
        openings = self.read_openings()
        if self.is_closed(entry) and not find_opening(openings, entry):
            what = f"the re-runs of {join_words([f'trial {of}' for of in compared])}"
            return replace(self, missing=self._describe_closed(openings, entry, what))
        found = self.open_predictions(together, entry)
        if found is None:
            return replace(self, missing="the test predictions of its re-runs are not usable")
        correct = [find_correct(output, found.examples.targets) for output in found.outputs]
        by_run = dict(zip(together, correct, strict=True))
        accuracy = wilson_interval(int(by_run[self.model].sum()), len(found.examples))
        reruns = {of: np.stack([by_run[run] for run in groups[of]]) for of in compared}
        more = rank_confirmed(self.search) if self.again else []
        for of in more:
            if of in groups and of not in reruns:
                runs = groups[of]
                entry = {"reruns_of": of, "runs": [run.number for run in runs], "again": True}
                if (other := self.open_predictions(runs, entry)) is not None:
                    targets = other.examples.targets
                    reruns[of] = np.stack([find_correct(o, targets) for o in other.outputs])
        return replace(self, accuracy=accuracy, reruns=reruns, seed_variance=self._pool_seeds())

    def _pool_seeds(self) -> SeedVariance:
        examples = read_examples(self.tracker, self.search, "validation")
        if examples is None:
            return UNKNOWN
        scores = score_reruns(self.search)
        if not is_proportion(self.search.metric):  # a loss, of which the test has no examples
            groups = group_reruns(self.search)
            runs = [run for of in groups.values() for run in of]
            found = read_predictions(self.tracker, self.search, runs, examples)
            correct = [find_correct(output, examples.targets).mean() for output in found.outputs]
            by_run = dict(zip(found.runs, map(float, correct), strict=True))
            scores = {of: [by_run[r] for r in rs if r in by_run] for of, rs in groups.items()}
        return pool_seed_variance(scores.values(), len(examples))

    def _describe_closed(self, openings: Sequence[Opening], entry: Opening, what: str) -> str:
        last = next((o for o in reversed(openings) if find_winner(o) is not None), None)
        if last is None:
            return self.describe_rejection(entry, what)
        return (
            f"the test set was opened before for {describe_model(last)} on "
            f"{str(last.get('time'))[:10]}; `--open-test-again` opens it for {what}, and "
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
    # A confirmation of the same configuration opens its re-runs: the winner is the same.
    winners = {winner for o in before if (winner := find_winner(o)) is not None}
    changed = bool(winners) and (model.number if model.of is None else model.of) not in winners
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
    choice: Choice | None,
    again: bool = False,
    early: bool = False,
) -> OpenedTest:
    """Return the test set of a search, opened for the winner as far as is allowed.

    A confirmed winner is opened with what it is compared with: no run of it is opened alone.
    """
    sealed = seal_test(tracker, search, choice.model if choice else None, again, early)
    if choice is None:
        return sealed
    return sealed.open_reruns() if choice.is_confirmed else sealed.open_accuracy()


def find_recorded_accuracy(openings: Sequence[Opening], model: TrialRecord) -> Proportion | None:
    """Return the test accuracy of a run for which the test set was opened before.

    None, too, where that had another score, such as that of a regression.
    """
    known = find_opening(openings, build_entry(model))
    if known is None or "correct" not in known:
        return None
    return wilson_interval(int(known["correct"]), int(known["n"]))
