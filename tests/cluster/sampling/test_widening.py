"""Choices that are added to a space while its search is interrupted."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState

from searchspaces.loading import load_space
from searchspaces.parameters import find_parameters
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


SPACE = """
import math
from dataclasses import dataclass

from searchspaces import SearchSpace


@dataclass(frozen=True)
class Config:
    seed: int = 0
    threshold: float = float("nan")


def train(config, run):
    yield {"loss": 9.0 if math.isnan(config.threshold) else config.threshold}


def suggest(trial):
    return {"threshold": trial.suggest_categorical("threshold", [float("nan"), 2.0, 3.0])}


SPACE = SearchSpace(Config, train, suggest, metric="loss", mode="min", reports=1)
"""


def test_a_choice_and_a_default_may_be_nan(
    tmp_path: Path, tune_inline: Callable[..., tuple[int, str]]
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(SPACE)
    assert tune_inline("--space", file, "--trials", 2)[0] == 0
    space = load_space(str(file))
    assert find_parameters(space)["threshold"].field == "threshold"
    file.write_text(SPACE.replace(", 3.0]", ", 3.0, 4.0]"))
    code, text = tune_inline("--space", file, "--resume", "--changed-code", "--trials", 3)
    assert code == 0, text
    code, text = tune_inline("--space", file, "--confirm", 1, "--seeds", 1)
    assert code == 0 and "running trials 0, " in text
    file.write_text(SPACE.replace('float("nan"), 2.0', "2.0"))
    code, text = tune_inline("--space", file, "--resume", "--changed-code", "--trials", 4)
    assert code == 2 and "lacks choices that this search has tried: nan" in text
