"""Choices that are added to a space while its search is interrupted."""

from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from searchspaces.space import SearchSpace
from trainables.errors import UserError

Change = Callable[..., SearchSpace[Any]]


def suggesting(*widths: int) -> Callable[[optuna.Trial], Mapping[str, Any]]:
    def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
        return {
            "width": trial.suggest_categorical("width", list(widths)),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.4),
        }

    return suggest


def test_added_choices_are_searched_and_earlier_trials_stay(
    begin: Any, reopen: Any, open_study: Any, run_one: Any, change: Change
) -> None:
    ledger = begin(sampler="tpe", trials=30)
    study = open_study(ledger, change(suggest=suggesting(2, 3)))
    for _ in range(3):
        run_one(ledger, study, [0.5])
    running = study.ask()
    ledger.add_trial(running.trial, running.parameters, running.config)
    before = study.study.trials
    ledger = reopen(ledger)
    study = open_study(ledger, change(suggest=suggesting(2, 3, 4)))
    after = study.study.trials
    assert [(t.number, t.state, t.values, t.params, t.user_attrs) for t in after] == [
        (t.number, t.state, t.values, t.params, t.user_attrs) for t in before
    ]
    assert after[running.trial].state == TrialState.RUNNING
    assert {study.ask().config["width"] for _ in range(20)} == {2, 3, 4}


def test_removed_choices_and_another_kind_are_rejected_with_both_lists(
    begin: Any, reopen: Any, open_study: Any, run_one: Any, change: Change
) -> None:
    ledger = begin(sampler="random")
    study = open_study(ledger, change(suggest=suggesting(2, 3)))
    for _ in range(2):
        run_one(ledger, study, [0.5])
    ledger = reopen(ledger)
    with pytest.raises(UserError, match=r"'width'(.|\n)*\[2, 3\](.|\n)*\[3, 4\](.|\n)*--fresh"):
        open_study(ledger, change(suggest=suggesting(3, 4)))

    def logarithmic(trial: optuna.Trial) -> Mapping[str, Any]:
        return {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.4, log=True)}

    with pytest.raises(UserError, match=r"'learning_rate'(.|\n)*--fresh"):
        open_study(ledger, change(suggest=logarithmic))
