"""Our journal file and Optuna's own backend read and write the same lines."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages.journal import JournalFileBackend

from cluster.ledger import trial_log
from cluster.sampling.journal_backend import Journal


def open_study(backend: Any) -> optuna.Study:
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(storage=storage, study_name="toy", load_if_exists=True)


def use_study(study: optuna.Study, values: list[float]) -> None:
    """Do everything that a search does with a study."""
    study.enqueue_trial({"x": 0.25}, user_attrs={"initial": "a", "tags": {"arm": "1"}})
    for value in values:
        trial = study.ask()
        trial.suggest_float("x", 1e-3, 1, log=True)
        trial.suggest_categorical("kind", ("a", None, True))
        trial.set_user_attr("note", {"list": [1, 2.5, "ü\n"]})
        trial.report(value, 1)
        study.tell(trial, value)
    failed = study.ask()
    study.tell(failed, state=optuna.trial.TrialState.FAIL)
    study.ask()


def list_trials(study: optuna.Study) -> list[Any]:
    return [
        (t.number, t.state, t.values, t.params, t.user_attrs, t.intermediate_values)
        for t in study.get_trials()
    ]


def test_we_and_optuna_read_what_the_other_wrote(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    ours = open_study(Journal(path))
    use_study(ours, [0.5, 0.25])
    theirs = open_study(JournalFileBackend(str(path)))
    assert len(list_trials(theirs)) == 4
    assert list_trials(theirs) == list_trials(ours)
    use_study(theirs, [0.125])
    assert list_trials(open_study(Journal(path))) == list_trials(theirs)


def test_the_partial_line_of_a_killed_writer_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    use_study(open_study(Journal(path)), [0.5])
    before = path.read_bytes()
    path.write_bytes(before + b'{"op_code": 4, "wor')
    again = open_study(Journal(path))
    assert path.read_bytes().startswith(before)
    assert all(map(json.loads, path.read_bytes().splitlines()))
    assert len(list_trials(again)) == 3


def test_a_log_that_cannot_be_written_is_not_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    study = open_study(Journal(path))
    trial = study.ask()

    def full(path: Path, event: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(trial_log, "append_event", full)
        with pytest.raises(OSError, match="No space left"):
            study.tell(trial, 0.5)
    assert list_trials(study) == list_trials(open_study(Journal(path)))
    assert list_trials(study)[0][1] == optuna.trial.TrialState.RUNNING
    study.tell(trial, 0.5)
    assert list_trials(open_study(Journal(path)))[0][2] == [0.5]
