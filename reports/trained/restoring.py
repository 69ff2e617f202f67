"""Restore a trained model from the tracking server: select a run, load its weights and space."""

import re
import shlex
import tempfile
from pathlib import Path

from cluster.storage.redaction import first_line
from reports.read.records import Tracker, TrackerError, read_named_search, read_search
from reports.read.weights import download_weights
from reports.read.winner import choose_winner, explain_no_winner
from reports.records import Search, TrialRecord
from reports.trained import models
from trainables.errors import UserError
from trainables.invocation import format_command


def find_space(search: Search, named: str | None, changed_code: bool = False) -> str:
    """Return the space that restores the models: the file of --space, or one of searchspaces/.

    Raises UserError for any other, since a file that only the server names is not executed, for
    another metric, mode or Config than the search has, and for changed code unless `changed_code`.
    """
    file = search.tags.get("space_file")
    if named or (not file and search.space in models.list_names()):
        models.check_same_space(named or search.space, search, changed_code)
        return named or search.space
    named_file = shlex.quote(file) if file else "FILE.py"
    raise UserError(
        f"The space {search.space!r} is not in searchspaces/, and the code of another file is "
        f"executed only if you name it.\nName it with --space {named_file}"
    )


def select_run(search: Search, number: int | None) -> TrialRecord:
    """Return the winner's run, or the trial with this number; raises UserError without one."""
    if number is None:
        choice = choose_winner(search)
        if choice is None:
            raise UserError(f"{search.name} has no winner: {explain_no_winner(search)}.")
        return choice.model
    found = [trial for trial in search.trials if trial.number == number]
    if not found:
        last = max((trial.number for trial in search.trials), default=None)
        existing = "it has none" if last is None else f"it has 0 to {last}"
        raise UserError(f"{search.name} has no trial {number}; {existing}.")
    return found[0]


def find_run(tracker: Tracker, name: str, number: int | None) -> tuple[Search, TrialRecord]:
    """Return a run and its search, of a name that a command was given.

    That is a space, for its newest search, or a search, each for its winner or the trial
    `number`; a trial such as digits-017; or the id of a run in MLflow. Raises UserError for any
    other, and where a trial is named twice.
    """
    if name.startswith("models:/"):
        raise UserError(
            f"{name} is an exported model: name the trial that it was made of.\n"
            "An ensemble is scored by its members: "
            f"{format_command('ensemble')} NAME --members ID ID"
        )
    if re.fullmatch(r"[0-9a-f]{32}", name):
        return _find_by_id(tracker, name, number)
    named = re.fullmatch(r"(.+)-(\d{3,})", name)
    try:
        search = read_search(tracker, name)
    except UserError:
        if named is None:
            raise
        search = read_named_search(tracker, named[1])
        if number not in (None, int(named[2])):
            raise UserError(f"{name} is a trial: leave out --trial {number}.") from None
        return search, select_run(search, int(named[2]))
    return search, select_run(search, number)


def _find_by_id(tracker: Tracker, run_id: str, number: int | None) -> tuple[Search, TrialRecord]:
    try:
        tags = tracker.get_run(run_id).data.tags
    except TrackerError as error:
        raise UserError(f"There is no run {run_id}: {first_line(error)}") from error
    parent = tags.get("mlflow.parentRunId", run_id)
    if "search" not in tags:
        raise UserError(f"The run {run_id} is no search and no trial of one.")
    search = read_named_search(tracker, tags["search"])
    if parent == run_id:
        return search, select_run(search, number)
    found = [run for run in (*search.trials, *search.reruns) if run.run_id == run_id]
    if not found or number not in (None, found[0].number):
        raise UserError(
            f"The run {run_id} is {found[0].title if found else 'no trial'} of {search.name}: "
            f"{'leave out --trial' if found else 'name one of its trials'}."
        )
    return search, found[0]


def restore_run(
    tracker: Tracker, search: Search, run: TrialRecord, space: str
) -> models.Predictor:
    """Return the trained model of a run; raises UserError where its weights are not stored."""
    with tempfile.TemporaryDirectory() as folder:
        if not download_weights(tracker, run, Path(folder) / "weights"):
            stored = sorted(t.number for t in search.trials if t.tags.get("weights") == "yes")
            others = f"those of {', '.join(map(str, stored))}" if stored else "none"
            raise UserError(
                f"The weights of {run.title} of {search.name} are not stored: a search stores "
                f"those of its best trials only, here {others}."
            )
        return models.restore_model(space, run.params, Path(folder) / "weights")
