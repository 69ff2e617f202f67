"""An export: what it says of the test set, whose code it runs, and where its files go."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.export import Exported, _describe, chosen, on_test
from reports.records import read_search
from reports.restoring import space_of
from reports.search import ReportError, TrialRecord
from tests.reports.made import openings, search, trial
from tests.reports.test_confirmation import rerun

Trials = list[dict[str, Any]]
Write = Callable[..., str]


def test_the_test_set_is_opened_for_the_winner_alone(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    parent = write_search(some_trials)
    found = read_search(client, "digits")
    said = on_test(client, found, [found.trials[5]])
    assert "was not opened for it, since validation did not pick it" in said
    assert openings(client, parent) == []
    said = on_test(client, found, [found.trials[3]])
    assert said.startswith("Test accuracy 94.25%")
    assert [o["trial"] for o in openings(client, parent)] == [3]


def test_what_is_on_record_is_shown_for_any_trial(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    told = '{"trial": 5, "n": 400, "correct": 300, "time": "2026-01-02"}'
    parent = write_search(some_trials, {"test_opening.1": told})
    found = read_search(client, "digits")
    assert "accuracy 75.00%" in on_test(client, found, [found.trials[5]])
    said = on_test(client, found, [found.trials[3]])  # another winner than before
    assert "opened before for trial 5 on 2026-01-02" in said
    assert len(openings(client, parent)) == 1


def test_a_winner_that_was_stopped_is_exported_as_its_best_re_run(
    client: MlflowClient, write_search: Write, some_trials: Trials
) -> None:
    some_trials[0]["outcome"] = "stopped"
    write_search([*some_trials, rerun(0, 0, 0.97), rerun(1, 0, 0.98)])
    ((member, weight, _),) = chosen(read_search(client, "digits"), None).members
    assert (member.of, member.number, weight) == (0, 1, 1.0)


def test_code_is_run_only_where_the_user_names_it() -> None:
    theirs = search(trial(0), tags={"space_file": "their folder/mine.py"})
    with pytest.raises(ReportError, match=r"--space 'their folder/mine\.py'"):
        space_of(theirs, None)
    assert space_of(theirs, "my.py") == "my.py"
    with pytest.raises(ReportError, match=r"--space FILE\.py"):
        space_of(search(trial(0)), None)  # a space called `made`


def test_a_space_of_our_own_needs_no_file(client: MlflowClient, write_search: Write) -> None:
    write_search([])
    assert space_of(read_search(client, "digits"), None) == "digits"


def test_no_name_of_the_servers_becomes_a_path(tmp_path: Path) -> None:
    one = TrialRecord("id", "../../elsewhere", 7, "complete")
    again = TrialRecord("id2", "/absolute", 7, "complete", of=3)
    _describe(tmp_path, "digits", Exported(((one, 0.5, 1.0), (again, 0.5, 1.0))))
    told = json.loads((tmp_path / "members.json").read_text())
    assert [member["folder"] for member in told["members"]] == ["007", "rerun-007"]
