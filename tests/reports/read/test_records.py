"""Reading MLflow: points that are logged twice, truncated tags, many pages."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

import reports.read.records
from reports.numbers.statistics import mean_interval
from reports.read.records import read_curves, read_named_search, read_search
from reports.write.intervals import format_difference
from reports.write.tables import is_share
from trainables.errors import UserError

Trials = list[dict[str, Any]]
Write = Callable[..., str]


def test_a_report_that_is_logged_twice_counts_once(
    client: MlflowClient, write_search: Write
) -> None:
    points = [(1, 0.1), (2, 0.2), (3, 0.3), (2, 0.25), (3, 0.35), (4, 0.4)]
    write_search([{"number": 0, "curves": {"validation_accuracy": points}}])
    search = read_search(client, "digits")
    (trial,) = read_curves(client, search.trials, ["validation_accuracy", "never_logged"])
    assert trial.curves["validation_accuracy"] == ((1, 0.1), (2, 0.25), (3, 0.35), (4, 0.4))
    assert trial.curves["never_logged"] == ()
    assert trial.outcome == "unfinished"


def test_trials_of_several_pages_are_in_order(
    client: MlflowClient,
    write_search: Write,
    some_trials: Trials,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reports.read.records, "PAGE", 5)
    write_search(some_trials[::-1])
    assert [trial.number for trial in read_search(client, "digits").trials] == list(range(12))


def test_stopped_trials_are_read_whatever_status_and_name_a_version_has_given_them(
    client: MlflowClient, write_search: Write
) -> None:
    parent = write_search([{"number": n, "outcome": "stopped", "score": 0.5} for n in range(2)])
    query = f"tags.`mlflow.parentRunId` = '{parent}' and tags.trial = '1'"
    (older,) = client.search_runs(["1"], query)
    client.set_terminated(older.info.run_id, "KILLED")
    (newer,) = client.search_runs(["1"], query.replace("'1'", "'0'"))
    client.update_run(newer.info.run_id, name="digits-000 lr=0.1 depth=2")
    trials = read_search(client, "digits").trials
    assert [trial.outcome for trial in trials] == ["stopped", "stopped"]
    assert [trial.name for trial in trials] == ["digits-000", "digits-001"]


def test_truncated_tags_are_left_out(client: MlflowClient, write_search: Write) -> None:
    write_search([], {"versions": '{"python": "3.1', "published": "7"})
    search = read_search(client, "digits")
    assert search.versions == {}
    assert search.published == ()


def test_a_missing_mode_is_an_error(client: MlflowClient, write_search: Write) -> None:
    write_search([], {"mode": "best"})
    with pytest.raises(UserError, match="'best'"):
        read_search(client, "digits")


def test_a_space_names_its_newest_search_and_a_name_or_id_any_search(
    client: MlflowClient, write_search: Write
) -> None:
    first, second = write_search([]), write_search([], {"search_name": "digits-2"})
    assert read_search(client, "digits").run_id == second
    assert read_search(client, "digits-2").run_id == second
    assert read_named_search(client, "digits").run_id == first
    client.set_tag(first, "search", "digits-0a1b2c3d")
    assert read_search(client, "digits-0a1b2c3d").run_id == first
    with pytest.raises(UserError, match=r"No experiment 'digits-3'\. Did you mean digits"):
        read_search(client, "digits-3")


def test_tags_with_values_of_other_types_are_left_out(
    client: MlflowClient, write_search: Write
) -> None:
    write_search([], {"compare": '["a", 1, null]', "published": '[3, "x", {"setting": "y"}]'})
    found = read_search(client, "digits")
    assert found.compare == ("a",)
    assert found.published == ({"setting": "y"},)


def test_a_name_of_a_space_and_of_another_search_needs_an_id(
    client: MlflowClient, write_search: Write
) -> None:
    second = write_search([], {"search_name": "digits-2", "search": "id-of-digits-2"})
    assert read_search(client, "digits-2").run_id == second
    space = client.create_experiment("digits-2")
    assert read_search(client, "digits-2").run_id == second  # the space has no search yet
    tags = {"kind": "search", "search": "id-of-space", "metric": "loss", "mode": "min"}
    first = client.create_run(space, run_name="digits-2-2", tags=tags).info.run_id
    with pytest.raises(UserError, match="id-of-space is the newest of the space, id-of-digits-2"):
        read_search(client, "digits-2")
    assert read_search(client, "id-of-digits-2").run_id == second
    assert read_search(client, "digits-2-2").run_id == first
    assert read_named_search(client, "digits-2").run_id == second
    with pytest.raises(UserError, match="Did you mean digits-2-2"):
        read_search(client, "digits-2-22")


NAMES = ("net[v2]", "it's", "both ' and \"", "my space", "日本", "Default")


@pytest.mark.parametrize("name", NAMES)
def test_a_space_is_found_by_any_name(name: str, client: MlflowClient) -> None:
    known = client.get_experiment_by_name(name)
    space = known.experiment_id if known else client.create_experiment(name)
    tags = {"kind": "search", "search": "x", "metric": "loss", "mode": "min"}
    run = client.create_run(space, run_name=f"{name}-2", tags=tags).info.run_id
    for asked in (name, f"{name}-2", "x"):
        found = read_search(client, asked)
        assert (found.run_id, found.space) == (run, name)
    with pytest.raises(UserError, match="Did you mean"):
        read_search(client, f"{name}x")


def test_an_accuracy_in_per_cent_is_no_share(client: MlflowClient, write_search: Any) -> None:
    write_search([{"number": 0, "outcome": "complete", "score": 0.976}])
    assert is_share(read_search(client, "digits").metric)
    write_search([{"number": 0, "outcome": "complete", "score": 97.6}])
    search = read_search(client, "digits")
    assert search.metric == "validation_accuracy"
    assert not is_share(search.metric)
    gap = mean_interval([1.5, 1.7])  # per cent
    assert format_difference(gap, search.metric) == (
        "+1.6 (95 % interval +0.3294 to +2.871)"  # neither 160 points nor cut off at 1
    )
