"""`python -m reports ensemble NAME --members ID ID …`: evaluate an ensemble of named members.

Their average or majority vote is compared with their best member.
"""

import argparse
from collections.abc import Sequence

from reports.chapters.ensembles.evaluation import (
    EvaluatedEnsemble,
    describe_gain,
    describe_opening,
    fit_ensemble_temperature,
    format_members,
    write_cost_table,
    write_quality_table,
)
from reports.cli import run_action
from reports.numbers.blends import apply_blend, average_all, equal_weights
from reports.read.ensemble_members import Library, build_library
from reports.read.holdout_log import BY_HAND, find_opening
from reports.read.opened_test import OpenedTest
from reports.read.predictions import Predictions, read_examples, read_predictions
from reports.read.records import Tracker, read_search
from reports.read.winner import rank_trials
from reports.records import Search, TrialRecord
from reports.write.tables import format_count
from trainables.errors import UserError
from trainables.terminal import print_text

PREFIX = 6  # letters of a run id that are enough to name it


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""

    def evaluate(tracker: Tracker) -> None:
        search = read_search(tracker, options.name)
        print_text(
            evaluate_members(
                tracker, search, options.members, options.split, options.open_test_again
            )
        )

    return run_action(options, evaluate)


def evaluate_members(
    tracker: Tracker, search: Search, ids: Sequence[str], split: str, again: bool = False
) -> str:
    """Return the evaluation of these members on a split, in markdown.

    The test set needs `again`, unless it was opened for them before. Raises UserError for unknown
    members, members without predictions, and a sealed test set.
    """
    runs = find_members(search, ids)
    temperatures: list[float | None] = [None, None]
    if split == "validation":
        models = _read(tracker, search, runs, split)
    else:
        known = _read(tracker, search, runs, "validation")
        temperatures = [fit_ensemble_temperature(ensemble) for ensemble in _evaluate(known)]
        models = (
            _open(tracker, search, _evaluate(known)[-1], again)
            if split == "test"
            else _read(tracker, search, runs, split)
        )
    alone, ours = _evaluate(models)
    parts = [
        f"{format_count(len(runs), 'member')} of {search.name} on {split}, "
        f"{format_count(len(models.targets), 'example')}, "
        f"{'by vote' if models.has_answers else 'averaged'}: {format_members(ours)}.",
        write_cost_table([alone, ours], alone),
    ]
    if split != "validation" and not models.has_answers:
        parts += [
            "Before and after temperature scaling, fitted on validation:",
            write_quality_table([alone, ours], temperatures),
        ]
    return "\n\n".join([*parts, describe_gain(ours, alone, (temperatures[1], temperatures[0]))])


def find_members(search: Search, ids: Sequence[str]) -> list[TrialRecord]:
    """Return the runs of trial numbers or run ids, the best on validation first."""
    found = [_find_member(search, name) for name in dict.fromkeys(ids)]
    if len(set(found)) != len(found) or len(found) < 2:
        raise UserError(
            f"{len(set(found))} member named by {' '.join(ids)}: an ensemble needs two or more "
            "different ones.\nName them with --members ID ID …"
        )
    ranked = rank_trials(search, found)
    unranked = [f"{run.name} ({run.outcome})" for run in found if run not in ranked]
    if unranked:
        raise UserError(f"No usable validation score: {', '.join(unranked)}.\nLeave them out.")
    return ranked


def _find_member(search: Search, name: str) -> TrialRecord:
    runs = [*search.trials, *search.reruns]  # a number names a trial before a re-run
    for run in runs:
        if name in (str(run.number), run.run_id):
            return run
    near = [run for run in runs if len(name) >= PREFIX and run.run_id.startswith(name)]
    if len(near) == 1:
        return near[0]
    raise UserError(
        f"{search.name!r} has no trial and no run {name!r}.\n"
        f"It has {format_count(len(search.trials), 'trial')} from 0 on; run ids are in MLflow."
    )


def _evaluate(models: Library) -> tuple[EvaluatedEnsemble, EvaluatedEnsemble]:
    blend, first = average_all(models.outputs, models.targets), models.select([0])
    alone = EvaluatedEnsemble(
        f"best member ({models.runs[0].label})", equal_weights(1), first, models.outputs[0]
    )
    return alone, EvaluatedEnsemble(BY_HAND, blend, models, apply_blend(blend, models.outputs))


def _read(tracker: Tracker, search: Search, runs: Sequence[TrialRecord], split: str) -> Library:
    examples = read_examples(tracker, search, split)
    if examples is None:
        raise UserError(f"{search.name!r} has no stored examples of the split {split!r}.")
    return _require_all(runs, read_predictions(tracker, search, runs, examples), split)


def _open(tracker: Tracker, search: Search, ours: EvaluatedEnsemble, again: bool) -> Library:
    test, entry = OpenedTest(tracker, search), describe_opening(ours)
    openings = test.read_openings()
    if not find_opening(openings, entry):
        if not again:
            raise UserError(
                f"The test set of {search.name!r} is opened by its report, for what validation "
                f"picked ({format_count(len(openings), 'opening')} on record).\nTo open it for "
                "these members as well, which is recorded and reported, add --open-test-again."
            )
        entry["again"] = True
    found = test.open_predictions(ours.runs, entry)
    return _require_all(ours.runs, found, "test")


def _require_all(runs: Sequence[TrialRecord], found: Predictions | None, split: str) -> Library:
    has = set(found.runs) if found else set()
    if found is None or len(has) < len(runs):
        without = ", ".join(run.name for run in runs if run not in has)
        raise UserError(f"Runs without usable stored {split} predictions: {without}.")
    return build_library(found)
