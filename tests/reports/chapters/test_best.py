"""The best trials in a table, each a link to its run."""

from __future__ import annotations

from dataclasses import replace

from reports.chapters.best import write_best_trials
from reports.read.winner import choose_winner
from reports.records import Search
from tests.support.make_search import make_search, make_trial


def write(search: Search) -> str:
    choice = choose_winner(search)
    assert choice is not None
    return write_best_trials(search, choice)


def test_a_row_is_a_link_to_its_run_where_a_server_shows_it() -> None:
    search = make_search(make_trial(0, 0.9), make_trial(1, 0.8))
    on_server = replace(search, tracking_uri="http://me:secret@host:5000", experiment="7")
    text = write(on_server)
    for run in ("run0", "run1"):
        page = f"http://host:5000/#/experiments/7/runs/{run}?workflowType=machine_learning"
        assert page in text
    assert "secret" not in text
    assert "](" not in write(replace(search, tracking_uri="sqlite:///runs/mlflow.db"))
