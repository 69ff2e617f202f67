"""A study whose journal is damaged is written again from the ledger."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from optuna.trial import TrialState

from cluster.ledger.files import JOURNAL
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from searchspaces.space import SearchSpace

Open = Callable[[Ledger, SearchSpace[Any]], Study]
Begin = Callable[..., Ledger]
Reopen = Callable[[Ledger], Ledger]
RunOne = Callable[..., int]


def damage(data: bytes, how: str) -> bytes:
    lines = data.splitlines(keepends=True)
    created = [number for number, line in enumerate(lines) if b'"op_code": 4' in line]
    match how:
        case "garbage":
            return b"\x00garbage\n" + data
        case "cut":
            return b"".join(lines[: created[1]])
        case "a line less":
            return b"".join([*lines[: created[1]], *lines[created[1] + 1 :]])
        case "an unknown event":
            return data + b'{"op_code": 42, "worker_id": "x"}\n'
        case "another event":
            return data.replace(b'"datetime_start"', b'"datetime_stbrt"', 1)
    return b""


@pytest.mark.parametrize(
    "how", ["garbage", "cut", "a line less", "an unknown event", "another event", "nothing left"]
)
def test_the_search_continues_with_all_its_trials(
    begin: Begin,
    reopen: Reopen,
    open_study: Open,
    space: SearchSpace[Any],
    run_one: RunOne,
    how: str,
) -> None:
    ledger = begin(sampler="tpe", trials=9)
    study = open_study(ledger, space)
    run_one(ledger, study, [0.5, 0.2], "complete")
    run_one(ledger, study, [0.5, 0.4], "stopped")
    run_one(ledger, study, [0.5], "failed")
    running = study.ask()
    assert running is not None
    ledger.add_trial(running.trial, running.parameters, running.config)
    before = {path: path.read_bytes() for path in ledger.folder.rglob("reports.jsonl")}
    journal = ledger.folder / JOURNAL
    journal.write_bytes(damage(journal.read_bytes(), how))
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    assert "written again from the trials" in study.note
    assert (ledger.folder / "study.damaged-1.journal").exists()
    states = [TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING]
    assert [trial.state for trial in study.study.trials[:4]] == states
    assert study.study.trials[0].value == 0.2
    assert study.study.trials[1].params == ledger.trial_logs[1].parameters
    suggestion = study.ask()
    assert suggestion is not None
    assert suggestion.trial > running.trial
    configs = [json.dumps(log.config) for log in ledger.trial_logs.values()]
    assert json.dumps(suggestion.config) not in configs  # the default does not run again
    assert before == {path: path.read_bytes() for path in ledger.folder.rglob("reports.jsonl")}
    assert open_study(reopen(ledger), space).note == ""


def test_an_arm_that_has_run_does_not_run_again(
    begin: Begin, reopen: Reopen, open_study: Open, run_one: RunOne, change: Any
) -> None:
    space = change(arms=({"momentum": False}, {"momentum": True}))
    ledger = begin(seeds=2, trials=4)
    study = open_study(ledger, space)
    for _ in range(3):  # each leaves the other hyperparameters to the sampler
        run_one(ledger, study, [0.5])
    (ledger.folder / JOURNAL).write_bytes(b"garbage\n")
    ledger = reopen(ledger)
    study = open_study(ledger, space)
    run_one(ledger, study, [0.4])
    arms = [(log.config["momentum"], log.config["seed"]) for log in ledger.trial_logs.values()]
    assert sorted(arms) == [(False, 0), (False, 1), (True, 0), (True, 1)]
