"""Restore a trained model from the tracking server: select a run, load its weights and space."""

import shlex
import tempfile
from pathlib import Path

from reports.read.records import Tracker
from reports.read.weights import download_weights
from reports.read.winner import choose_winner, explain_no_winner
from reports.records import Search, TrialRecord
from reports.trained import models
from trainables.errors import UserError


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
