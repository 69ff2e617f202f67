"""The winner of a report: the same trial, and the same report of it, as in the search itself."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import create_ledger, write_settings
from cluster.ledger.settings import SearchSettings
from cluster.ledger.trial_log import Failure, Outcome
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter
from reports.read.records import read_search
from reports.read.winner import choose_winner, explain_no_winner, find_candidates, rank_trials
from tests.support.make_search import list_openings, make_search, make_trial

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]


def numbers(*trials: Any, mode: str = "max") -> list[int]:
    found = make_search(*trials, mode=mode)
    return [t.number for t in rank_trials(found, found.trials)]


def test_complete_trials_come_before_stopped_ones_and_no_others_win() -> None:
    trials = [
        make_trial(0, 0.5),
        make_trial(1, 0.99, outcome="diverged"),
        make_trial(2, 0.9, outcome="stopped"),
        make_trial(3, 0.98, outcome="failed"),
        make_trial(4, 0.97, outcome="unfinished"),
        make_trial(5, 0.6),
        make_trial(6, None),
        make_trial(7, math.nan),
        make_trial(8, math.inf),
        make_trial(9, 1.7976931348623157e308),  # infinity, as a database stores it
    ]
    assert numbers(*trials) == [5, 0, 2]
    assert numbers(*trials, mode="min") == [0, 5, 2]
    assert [t.number for t in find_candidates(make_search(*trials))] == [5, 0]
    assert [t.number for t in find_candidates(make_search(*trials[1:5]))] == [2]


def test_of_equal_scores_the_first_trial_wins_whatever_their_order() -> None:
    trials = [make_trial(n, 0.9) for n in (3, 1, 2)]
    for mode in ("max", "min"):
        assert numbers(*trials, mode=mode) == [1, 2, 3]
    choice = choose_winner(make_search(*trials))
    assert choice is not None
    assert choice.winner.number == 1


def test_a_diverged_trial_of_the_best_score_does_not_win_a_report(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    some_trials[9]["score"] = 0.999
    write_search(some_trials)
    text = read_report()
    assert "The winner is trial 3 (`digits-003`) with 97.00 %" in text
    assert "2 trials with a better score are not complete and could not win: 7" in text
    assert "9 (99.90 %)" in text


@pytest.mark.parametrize("outcomes", [("diverged",), ("diverged", "failed")])
def test_where_only_diverged_and_failed_trials_have_scores_there_is_no_winner(
    outcomes: tuple[str, ...],
    write_search: Write,
    read_report: Read,
    some_trials: Trials,
    client: MlflowClient,
) -> None:
    for number, found in enumerate(some_trials[:4]):
        found["outcome"] = outcomes[number % len(outcomes)]
    parent = write_search(some_trials[:4])
    why = f"no trial with a score is complete or stopped early, only {' or '.join(outcomes)}"
    assert f"**N{why[1:]}**" in read_report("digits", "--ensemble")
    assert explain_no_winner(read_search(client, "digits")) == why
    assert list_openings(client, parent) == []


def test_a_diverged_trial_does_not_win_by_its_re_runs(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    some_trials[0]["outcome"] = "diverged"
    again = [
        {"number": n, "of": of, "outcome": "complete", "score": score, "params": {"seed": n}}
        for n, (of, score) in enumerate([(0, 0.99), (0, 0.98), (5, 0.9), (5, 0.9)])
    ]
    write_search([*some_trials, *again])
    choice = choose_winner(read_search(client, "digits"))
    assert choice is not None
    assert (choice.winner.number, choice.is_confirmed) == (5, True)


ENDS: list[tuple[Outcome, list[float], list[float]]] = [
    # outcome, accuracy and loss of every report
    ("complete", [0.5, 0.9, 0.8], [1.0, 1.0, 1.0]),
    ("complete", [0.7, 0.9, 0.9], [1.0, 1.0, 1.0]),  # as good as the first
    ("complete", [0.8, 0.95, 0.6], [1.0, math.inf, 1.0]),  # another metric decides nothing
    ("stopped", [0.97], [1.0]),
    ("diverged", [0.99, math.nan], [1.0, 1.0]),
    ("failed", [0.98], [1.0]),
    ("stopped", [0.96, 0.96], [1.0, 1.0]),
]


@pytest.mark.parametrize("mode", ["max", "min"])
def test_the_search_and_its_report_rank_alike_and_name_the_same_reports(
    mode: Any, storage: Path
) -> None:
    settings = SearchSettings(
        space="digits",
        metric="gain",
        mode=mode,
        trials=len(ENDS),
        reports=3,
    )
    ledger = create_ledger(storage, settings)
    write_settings(ledger.folder, ledger.settings)
    for number, (outcome, accuracies, losses) in enumerate(ENDS):
        ledger.add_trial(number, {}, {"width": number})
        ledger.add_attempt(number)
        for report, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True), 1):
            metrics = {"gain": accuracy if mode == "max" else -accuracy, "loss": loss}
            entry = {"report": report, "seconds": float(report), "metrics": metrics}
            ledger.record_reports(number, [entry], {})
        if outcome == "failed":
            ledger.record_failure(number, Failure("failed", "an error", "Traceback"))
        ledger.record_outcome(number, outcome)
    client = open_client(f"sqlite:///{storage / 'mlflow.db'}")
    writer = MLflowWriter(client, ledger, lambda: 0)
    writer.start()
    assert writer.close(finished=True) is None

    found = read_search(client, "digits")
    of_report = rank_trials(found, found.trials)
    of_search = ledger.rank_trials(ledger.trial_logs.values())
    assert [t.number for t in of_report] == [log.trial for log in of_search] == [2, 0, 1, 3, 6]
    for run, log in zip(of_report, of_search, strict=True):
        best = (run.metrics["score"], int(run.metrics["best_report"]))
        assert best == ledger.best_report(log)
    choice = choose_winner(found)
    assert choice is not None
    assert choice.winner.number == of_search[0].trial
    assert [t.metrics["best_report"] for t in of_report] == [2, 2, 2, 1, 1]
