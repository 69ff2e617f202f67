"""Trained models back from the tracking server: the run, its weights and the space they fit."""

import shlex
import tempfile
from pathlib import Path

from reports.read.records import Tracker
from reports.read.weights import download_weights
from reports.read.winner import choose_winner, explain_no_winner
from reports.records import Search, TrialRecord
from reports.trained import models
from trainables.errors import UserError


def find_space(search: Search, given: str | None) -> str:
    """Give the space that restores the models: the file the user names, or Tunery's own.

    Raises UserError for any other: a server may name code, but does not have it run.
    """
    file = search.tags.get("space_file")
    if given or (not file and search.space in models.list_names()):
        return given or search.space
    raise UserError(
        f"The space {search.space!r} is none of Tunery's, and a file of code is run only where "
        f"you name it.\nName it with --space {shlex.quote(file) if file else 'FILE.py'}"
    )


def select_run(search: Search, number: int | None) -> TrialRecord:
    """The winner's run, or that of the trial named; raises UserError where there is none."""
    if number is None:
        choice = choose_winner(search)
        if choice is None:
            raise UserError(f"{search.name} has no winner: {explain_no_winner(search)}.")
        return choice.model
    found = [trial for trial in search.trials if trial.number == number]
    if not found:
        last = max((trial.number for trial in search.trials), default=None)
        there = "it has none" if last is None else f"it has 0 to {last}"
        raise UserError(f"{search.name} has no trial {number}; {there}.")
    return found[0]


def restore_run(
    tracker: Tracker, search: Search, run: TrialRecord, space: str
) -> models.Predictor:
    """The trained model of a run; raises UserError where its weights are not kept."""
    with tempfile.TemporaryDirectory() as folder:
        if not download_weights(tracker, run, Path(folder) / "weights"):
            kept = sorted(t.number for t in search.trials if t.tags.get("weights") == "yes")
            there = f"those of {', '.join(map(str, kept))} are" if kept else "none are"
            raise UserError(
                f"The weights of {run.title} of {search.name} are not stored: a search keeps "
                f"those of its best trials alone, here {there}."
            )
        return models.restore_model(space, run.params, Path(folder) / "weights")
