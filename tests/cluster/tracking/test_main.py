"""`python -m cluster.tracking rebuild FOLDER`: a search is written to MLflow again."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from cluster.tracking import __main__ as command
from searchspaces.space import SearchSpace
from tests.support.reports import make_history
from tests.support.tracking import read_runs, write_to_mlflow

Finish = Callable[..., None]
Open = Callable[[Ledger, SearchSpace[Any]], Study]


def test_a_search_written_to_another_server_is_the_same(
    ledger: Ledger,
    end: Finish,
    make_database: Callable[[], str],
    space: SearchSpace[Any],
    open_study: Open,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_study(ledger, space)
    for trial, outcome in enumerate(("complete", "stopped", "failed")):
        end(trial, 0.1 * trial, outcome)
    write_to_mlflow(ledger)
    elsewhere = make_database()
    words = ["tracking", "rebuild", str(ledger.folder), "--tracking-uri", elsewhere]
    monkeypatch.setattr(sys, "argv", words)
    assert command.main() == 2  # the search is open in this process
    assert "another process is running" in capsys.readouterr().err
    ledger.close()
    assert command.main() == 0
    assert "has been written to MLflow again" in capsys.readouterr().out
    first, second = read_runs(ledger.settings.tracking_uri), read_runs(elsewhere)
    for runs in (first, second):
        runs["toy"].pop("metrics")
    assert second == first
    monkeypatch.setattr(sys, "argv", [*words[:2], str(ledger.folder.parent)])
    assert command.main() == 2
    assert "is not the folder of a search" in capsys.readouterr().err


def test_a_rebuild_in_place_repairs_runs_that_have_ended(
    ledger: Ledger, end: Finish, space: SearchSpace[Any], open_study: Open
) -> None:
    open_study(ledger, space)
    for trial in range(3):
        end(trial, 0.25)
    write_to_mlflow(ledger)
    uri = ledger.settings.tracking_uri
    whole = read_runs(uri)
    ledger.close()
    database = sqlite3.connect(uri.removeprefix("sqlite:///"))
    with database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where step = 2 or key = 'tunery.score'")
        database.execute("update params set value = '77' where key = 'width' and value = '1'")
    database.close()
    command.rebuild(ledger.folder, None)
    repaired = read_runs(uri)
    for runs in (whole, repaired):
        runs["toy"].pop("metrics")
    assert repaired == whole


def test_the_confirmation_of_a_search_is_written_too(
    ledger: Ledger,
    end: Finish,
    make_database: Callable[[], str],
    space: SearchSpace[Any],
    open_study: Open,
) -> None:
    open_study(ledger, space)
    end(0, 0.25)
    settings = replace(
        ledger.settings, kind="confirmation", name="toy-confirm", sampler="grid", trials=1
    )
    confirmation = ledgers.attach_ledger(ledger.folder / "confirm", settings)
    Study(confirmation, space, [])
    confirmation.add_trial(0, {}, {"width": 0, "seed": 1001}, {"of": "0"})
    confirmation.record_reports(0, make_history([0.5]), {})
    confirmation.record_outcome(0, "complete")
    confirmation.close()
    ledger.close()
    elsewhere = make_database()
    command.rebuild(ledger.folder, elsewhere)
    client_runs = read_runs(elsewhere)
    assert client_runs.keys() == {"toy", "toy-000", "toy-confirm-000"}
    rerun = client_runs["toy-confirm-000"]
    assert (rerun["tags"]["kind"], rerun["tags"]["of"]) == ("confirmation", "0")
    assert rerun["params"]["seed"] == "1001"
