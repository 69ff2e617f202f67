"""Whole reports: a database in, report.md out."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

import reports.__main__

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_it_says_what_was_done_and_found(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    text = read_report()
    for expected in (
        "Which small network reads digits best?",
        "python -m trainables.tune --space digits --trials 12",
        "python 3.11.9, torch 2.13.0",
        "0123abc",
        "real; feed0001; 300 validation, 400 test",
        "2 cores",
        "| tpe |",
        "(figures/training_curves.png)",
    ):
        assert expected in text
    assert "SYNTHETIC" not in text
    lines = re.findall(
        r"^winner test accuracy: \d\d\.\d\d % \(95 % interval \d\d\.\d\d to \d\d\.\d\d %, "
        r"n = \d+\)$",
        text,
        re.MULTILINE,
    )
    assert lines == ["winner test accuracy: 94.25 % (95 % interval 91.52 to 96.14 %, n = 400)"]


def test_the_winner_is_the_best_complete_trial(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    text = read_report()
    assert "The winner is trial 3 (`digits-003`) with 97.00 %" in text
    assert "1 trial scored better without being complete and could not win: 7 (99.00 %)" in text
    assert "**beats the default**" in text
    assert "a difference of 4.00 points" in text
    winner = row(text, "3 (winner)")
    assert winner == ["3 (winner)", "97.00 %", "11", "10,003", "100", "adamw", "0.0167", "32"]
    assert row(text, "0 (default)")[1] == "93.00 %"
    assert "batch_size" not in text  # it was the same in every trial


def test_outcomes_and_published_numbers(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    text = read_report()
    counts = {"complete": "7", "stopped": "2", "diverged": "1", "failed": "1", "unfinished": "1"}
    for outcome, count in (counts | {"infeasible": "3", "retried": "1"}).items():
        assert row(text, outcome)[1] == count
    assert "Together 0.333 device-hours." in text
    assert row(text, "k nearest")[1:] == ["test_accuracy", "98.00 %", "old"]
    assert row(text, "**this search, trial 3**")[2] == "94.25 %"
    assert "1 trial (10):\n\n```text" in text
    assert "ValueError: `odd` width" in text


def test_figures_lie_beside_the_report(
    write_search: Write, read_report: Read, some_trials: Trials, tmp_path: Path
) -> None:
    write_search(some_trials)
    text = read_report()
    for name in re.findall(r"\(([^() ]+\.(?:png|svg))\)", text):
        assert (tmp_path / "out" / name).stat().st_size > 1000
    first = (tmp_path / "out/figures/training_curves.svg").read_bytes()
    read_report()
    assert (tmp_path / "out/figures/training_curves.svg").read_bytes() == first


def test_the_test_set_is_opened_once_per_winner(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    parent = write_search(some_trials)
    assert "was opened once: for trial 3" in read_report()
    opening = json.loads(client.get_run(parent).data.tags["test_openings"])
    assert [{k: v for k, v in o.items() if k != "time"} for o in opening] == [
        {"trial": 3, "accuracy": 0.9425, "n": 400, "correct": 377}
    ]
    assert "was opened once: for trial 3" in read_report()
    assert json.loads(client.get_run(parent).data.tags["test_openings"]) == opening


def test_a_recorded_opening_is_believed_and_a_new_winner_is_counted(
    write_search: Write, read_report: Read, some_trials: Trials, client: MlflowClient
) -> None:
    recorded = {"time": "2026-01-02T03:04:05+00:00", "trial": 3, "accuracy": 0.9, "n": 400}
    parent = write_search(
        some_trials, {"test_openings": json.dumps([{**recorded, "correct": 360}])}
    )
    assert "winner test accuracy: 90.00 %" in read_report()
    run = next(r for r in client.search_runs(["1"]) if r.info.run_name == "digits-005")
    client.log_metric(run.info.run_id, "score", 0.985, step=0)  # the search went on
    text = read_report()
    assert "The winner is trial 5" in text
    assert "was opened twice: for trial 3 at 2026-01-02" in text
    assert "The winner changed in between" in text
    assert len(json.loads(client.get_run(parent).data.tags["test_openings"])) == 2


def test_synthetic_data_is_said_loudly(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials[:3], {"source": "synthetic"})
    text = read_report()
    assert text.startswith("# SYNTHETIC DATA: digits")
    assert "k nearest" not in text


def test_a_space_without_predictions(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    for trial in some_trials:
        del trial["correct"]
    write_search(some_trials, {"metric": "validation_loss", "mode": "min"}, data=False)
    text = read_report()
    assert "The winner is trial 4 (`digits-004`) with 0.9 at" in text
    assert "no test predictions are stored for it" in text
    assert "winner test accuracy" not in text
    assert "on validation, where it was chosen" in text


def test_an_empty_search(write_search: Write, read_report: Read) -> None:
    write_search([])
    assert "**This search is empty**" in read_report()


def test_one_trial_and_one_report(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    some_trials[0]["curves"] = {"validation_accuracy": [0.93]}
    write_search(some_trials[:1])
    text = read_report()
    assert "**The default configuration won**" in text
    assert "No trial made two reports" in text
    assert "winner test accuracy: 95.00 %" in text


def test_all_failed_and_no_metric(write_search: Write, read_report: Read) -> None:
    write_search(
        [{"number": i, "outcome": "failed", "error": f"OSError: {i % 7}"} for i in range(20)]
    )
    text = read_report()
    assert "**No trial has a score**" in text
    assert "3 trials (0, 7 and 14):" in text
    assert "2 rarer kinds are left out." in text
    assert "test set of this search" not in text


def test_no_complete_trial(write_search: Write, read_report: Read, some_trials: Trials) -> None:
    write_search(some_trials[7:])
    text = read_report()
    assert "**No trial is complete**" in text
    assert "The winner is trial 7" in text
    assert "There is no trial 0 on record" in text


def test_the_newest_search_is_read(
    write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    write_search(some_trials)
    write_search(some_trials[:2])
    assert "This search has run 2 trials" in read_report()
    assert "This search has run 2 trials" in read_report("1")  # the experiment's number


def test_a_crowded_figure_keeps_the_default(
    write_search: Write, read_report: Read, some_trials: Trials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reports.__main__, "DRAWN", 2)
    write_search(some_trials)
    text = read_report()
    assert "9 trials of 12 not drawn." in text  # drawn: the winner, the last, the default
