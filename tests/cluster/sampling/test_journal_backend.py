"""Our journal file against Optuna's own backend, which reads and writes the same lines."""

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


def open_with(backend: Any) -> optuna.Study:
    storage = optuna.storages.JournalStorage(backend)
    return optuna.create_study(storage=storage, study_name="toy", load_if_exists=True)


def work(study: optuna.Study, values: list[float]) -> None:
    """Go through what a search does with a study."""
    study.enqueue_trial({"x": 0.25}, user_attrs={"point": "a", "tags": {"arm": "1"}})
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


def seen(study: optuna.Study) -> list[Any]:
    return [
        (t.number, t.state, t.values, t.params, t.user_attrs, t.intermediate_values)
        for t in study.get_trials()
    ]


def test_it_and_optuna_read_what_either_wrote(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    ours = open_with(Journal(path))
    work(ours, [0.5, 0.25])
    theirs = open_with(JournalFileBackend(str(path)))
    assert len(seen(theirs)) == 4
    assert seen(theirs) == seen(ours)
    work(theirs, [0.125])
    assert seen(open_with(Journal(path))) == seen(theirs)


def test_a_line_that_a_killed_writer_left_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    work(open_with(Journal(path)), [0.5])
    before = path.read_bytes()
    path.write_bytes(before + b'{"op_code": 4, "wor')
    again = open_with(Journal(path))
    assert path.read_bytes().startswith(before)
    assert all(map(json.loads, path.read_bytes().splitlines()))
    assert len(seen(again)) == 3


def test_what_the_disk_did_not_take_was_not_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    study = open_with(Journal(path))
    trial = study.ask()

    def full(path: Path, event: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(trial_log, "append_event", full)
        with pytest.raises(OSError, match="No space left"):
            study.tell(trial, 0.5)
    assert seen(study) == seen(open_with(Journal(path)))
    assert seen(study)[0][1] == optuna.trial.TrialState.RUNNING
    study.tell(trial, 0.5)
    assert seen(open_with(Journal(path)))[0][2] == [0.5]
