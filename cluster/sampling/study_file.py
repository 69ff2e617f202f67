"""Open the Optuna study in the journal of a search."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial

from cluster.ledger.files import list_journals
from cluster.sampling.journal_backend import Journal
from searchspaces.space import SearchSpace
from trainables.errors import UserError

FIX = "--resume writes it again from the trials"

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)


class DamagedJournalError(UserError):
    """The journal of a study cannot be replayed."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path} is damaged: {problem}\n{FIX}")
        self.problem = problem


def open_study(journal: Journal, space: SearchSpace[Any]) -> optuna.Study:
    """Open or create the study in a journal; the caller holds the search's lock."""
    with quiet():
        study = optuna.create_study(
            storage=open_storage(journal),
            study_name=space.name,
            direction="maximize" if space.mode == "max" else "minimize",
            load_if_exists=True,
        )
        if study.metric_names is None:
            study.set_metric_names([space.metric])  # which Optuna's dashboard and plots show
        return study


def write_study(path: Path, space: SearchSpace[Any], trials: Iterable[FrozenTrial]) -> None:
    """Replace the journal at a path, as a whole, by that of a study with these trials."""
    draft = path.with_name(f"{path.name}.part")
    draft.unlink(missing_ok=True)
    journal = Journal(draft)
    study = open_study(journal, space)
    for trial in trials:
        study._storage.create_new_trial(study._study_id, template_trial=trial)
    journal.sync()
    draft.replace(path)


def count_infeasible(folder: Path) -> int:
    """Return the number of infeasible configurations of a search, by its folder."""
    count = 0
    for path in list_journals(folder):
        storage = open_storage(Journal(path))
        (study,) = optuna.get_all_study_names(storage)
        trials = optuna.load_study(study_name=study, storage=storage).get_trials(deepcopy=False)
        count += sum("infeasible" in trial.user_attrs for trial in trials)
    return count


def open_storage(journal: Journal) -> optuna.storages.JournalStorage:
    """Return the storage of a journal; raises UserError for a damaged one."""
    try:
        return optuna.storages.JournalStorage(journal)
    except Exception as error:  # Optuna has no error class for a journal that it cannot replay
        raise DamagedJournalError(journal.path, repr(error)) from error


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Ignore Optuna's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
