"""The header and the summary of a search."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure
from cluster.sampling.study import Study
from cluster.storage.location import Location
from cluster.storage.storage import Storage
from cluster.tuning.summary import (
    SHOWN,
    list_next_commands,
    make_best_trials_table,
    print_failures,
    print_header,
    print_summary,
)
from searchspaces.space import SearchSpace
from tests.support.reports import make_history

QUERY = "runs?viewStateShareKey=tunery&workflowType=machine_learning"
PAGE = f"    http://127.0.0.1:5000/#/experiments/7/{QUERY}"
RANGES = {"width": {}, "learning_rate.sgd": {}, "momentum": {}}


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def console(out: io.StringIO) -> Console:
    return Console(file=out, width=200)


@pytest.fixture
def ledger(begin: Callable[..., Ledger]) -> Ledger:
    """Return a ledger with seven complete trials, the last of which is the best."""
    ledger = begin(parameters=RANGES, provenance={"source": "real"})
    for trial in range(7):
        config = {"width": 2, "learning_rate": 0.1 + trial, "momentum": trial % 2 == 0}
        ledger.add_trial(trial, {}, config)
        ledger.record_reports(trial, make_history([9.0 - trial], seconds=61.0), {})
        ledger.record_outcome(trial, "complete")
        ledger.prune(trial)
    return ledger


def test_a_new_search_prints_its_settings(
    ledger: Ledger, space: SearchSpace[Any], console: Console, out: io.StringIO
) -> None:
    print_header(space, ledger.settings, None, console)
    assert out.getvalue() == (
        f"trivial: {space.question}\n"
        "4 trials, 4 reports each, sampler random, scheduler none, seed 0\n"
    )


def test_a_resumed_search_prints_what_has_ended_before(
    ledger: Ledger, space: SearchSpace[Any], console: Console, out: io.StringIO
) -> None:
    settings = replace(ledger.settings, trials=9, provenance={"source": "synthetic"})
    print_header(space, settings, ledger, console)
    text = out.getvalue()
    assert text.startswith(f"resuming {ledger.folder}\n")
    assert "SYNTHETIC DATA: no number below says anything about real data\n" in text
    assert "9 trials, 7 of them ended before, 4 reports each" in text


def test_the_table_has_the_best_trials_and_the_settings_in_which_they_differ(
    ledger: Ledger, console: Console, out: io.StringIO
) -> None:
    console.print(make_best_trials_table(ledger))
    lines = out.getvalue().splitlines()
    assert lines[0].strip() == "best trials by loss"
    assert len(lines) == 2 + SHOWN
    first = lines[2].split()
    assert first[:4] == ["006", "3", "complete", "1"]
    assert "1 min 01 s" in lines[2]
    assert lines[2].rstrip().endswith("learning_rate=6.1  momentum=True")
    assert "width" not in out.getvalue()  # all have the same


def test_values_that_look_alike_are_told_apart(
    begin: Callable[..., Ledger], console: Console, out: io.StringIO
) -> None:
    ledger = begin()
    for trial, value in enumerate(["1", 1]):
        ledger.add_trial(trial, {}, {"kind": value})
        ledger.record_reports(trial, make_history([1.0 + trial]), {})
        ledger.record_outcome(trial, "complete")
    console.print(make_best_trials_table(ledger))
    assert [line.split()[-1] for line in out.getvalue().splitlines()[2:]] == ['kind="1"', "kind=1"]


def test_without_a_score_there_is_no_table(begin: Callable[..., Ledger]) -> None:
    assert make_best_trials_table(begin()) == "no trial has a score"


def test_failures_are_counted_and_the_first_is_shown(
    ledger: Ledger, space: SearchSpace[Any], console: Console, out: io.StringIO
) -> None:
    print_failures(space, ledger, console)
    assert out.getvalue() == ""
    for trial in (7, 8):
        ledger.add_trial(trial, {}, {})
        trace = f'File "{space.file}", line {trial}, in train'
        output = "".join(f"{trial}: line {n}\n" for n in range(12))
        ledger.record_failure(trial, Failure("failed", f"ValueError: [{trial}]", trace, output))
        ledger.record_outcome(trial, "failed")
    print_failures(space, ledger, console)
    assert out.getvalue() == (
        "2 failed; the first, trial 007: ValueError: [7] (trivial.py:7)\n"
        f"its traceback is in {ledger.folder}/trials/007/reports.jsonl\n"
        "the last lines of its output:\n" + "".join(f"  | 7: line {n}\n" for n in range(2, 12))
    )


@pytest.mark.parametrize(
    ("storage", "tracking_uri", "expected"),
    [
        (Storage(Path("runs")), None, ["  mlflow ui --backend", PAGE, "  python -m reports toy"]),
        (
            Storage(Path("my runs")),
            None,
            ["  mlflow ui --backend", PAGE, "  python -m reports toy --storage 'my runs'"],
        ),
        (
            Storage(Path("runs")),
            "http://***@server:5000",
            ["  python -m reports toy --tracking-uri 'http://***@server:5000'"],
        ),
        (
            Storage(Path("runs/s3-b"), Location("s3://b")),
            None,
            ["  mlflow ui --backend", PAGE, "  python -m reports toy --storage s3://b"],
        ),
    ],
)
def test_the_next_commands_name_the_storage_and_the_server(
    ledger: Ledger, storage: Storage, tracking_uri: str | None, expected: list[str]
) -> None:
    ledger.update_settings(tracking_uri=tracking_uri or storage.default_tracking_uri)
    text = list_next_commands(ledger, storage, "7")
    assert f"ledger and checkpoints: {ledger.folder}\n" in text
    assert f"MLflow database:        {ledger.settings.tracking_uri}\n" in text
    commands = [line for line in text.splitlines() if line.startswith("  ")]
    assert len(commands) == len(expected)
    assert all(map(str.startswith, commands, expected))
    assert commands[-1] == expected[-1]


def test_a_tracking_server_is_named_by_the_page_of_the_runs_without_its_password(
    ledger: Ledger,
) -> None:
    ledger.update_settings(tracking_uri="http://me:secret@server:5000")
    text = list_next_commands(ledger, Storage(Path("runs")), "7")
    assert f"\nruns in MLflow:         http://server:5000/#/experiments/7/{QUERY}\n" in text


def test_no_command_shows_a_password(ledger: Ledger) -> None:
    address = "sqlite:////runs/x.db?api_key=tokTOK&password=s3cr3t"
    text = list_next_commands(ledger, Storage(Path("/runs"), None, address), "7")
    assert "mlflow ui" in text
    assert "tokTOK" not in text
    assert "s3cr3t" not in text


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("my space", "python -m reports 'my space' --storage /runs"),
        ("it's", """python -m reports 'it'"'"'s' --storage /runs"""),
        ("net[v2]", "python -m reports 'net[v2]' --storage /runs"),
        ("-x", "python -m reports --storage /runs -- -x"),
    ],
)
def test_the_next_command_can_be_copied_whatever_the_name(
    ledger: Ledger, name: str, command: str
) -> None:
    storage = Storage(Path("/runs"))
    ledger.update_settings(tracking_uri=storage.default_tracking_uri)
    ledger.folder = ledger.folder.rename(ledger.folder.with_name(name))
    assert list_next_commands(ledger, storage, "7").splitlines()[-1] == f"  {command}"


def test_a_name_with_brackets_is_printed_as_it_is(
    ledger: Ledger, space: SearchSpace[Any], console: Console, out: io.StringIO
) -> None:
    ledger.update_settings(provenance={"source": "real"})
    ledger.folder = ledger.folder.rename(ledger.folder.with_name("net[v2]"))
    named = replace(space, name="net[v2]", question="Which [/red] is best?")
    print_header(named, ledger.settings, ledger, console)
    assert f"resuming {ledger.folder}\nnet[v2]: Which [/red] is best?\n" in out.getvalue()


def test_the_summary_has_every_part(
    ledger: Ledger, space: SearchSpace[Any], console: Console, out: io.StringIO
) -> None:
    following = list_next_commands(ledger, Storage(Path("runs")), "7")
    print_summary(space, ledger, 3, following, console)
    text = out.getvalue()
    assert "best trials by loss" in text
    assert "3 infeasible configurations were rejected, at no cost" in text
    assert "python -m reports toy" in text


def test_the_summary_ranks_as_the_study_does(
    begin: Callable[..., Ledger],
    open_study: Callable[..., Study],
    run_one: Callable[..., int],
    space: SearchSpace[Any],
    console: Console,
    out: io.StringIO,
) -> None:
    ledger = begin()
    study = open_study(ledger, space)
    for losses in ([0.5], [0.2, 0.9], [0.3]):
        run_one(ledger, study, losses)
    console.print(make_best_trials_table(ledger))
    rows = [line.split()[0] for line in out.getvalue().splitlines()[2:]]
    assert rows == ["001", "002", "000"]
    assert study.study.best_trial.number == 1
