"""The record of openings: nothing is truncated and nothing is lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.read.holdout_log import (
    add_opening,
    describe_openings,
    find_opening,
    read_openings,
    read_other_openings,
)
from reports.read.records import read_search
from tests.support.make_search import list_openings
from trainables.errors import UserError

Trials = list[dict[str, Any]]
Write = Callable[..., str]
Read = Callable[..., str]


def test_every_opening_has_a_tag_that_mlflow_does_not_truncate(
    client: MlflowClient, write_search: Write
) -> None:
    parent = write_search([])
    search = read_search(client, "digits")
    members = {f"re-run {n}": 0.0001 for n in range(1000)}
    entry = {"ensemble": "by hand", "members": members}
    add_opening(client, search, {"trial": 3, "rerun": None, "n": 400, "correct": 390})
    add_opening(client, search, entry)
    recorded = list_openings(client, parent)
    assert [o.get("trial") for o in recorded] == [3, None]
    assert "rerun" not in recorded[0]
    assert (len(recorded[1]["members"]), recorded[1]["count"]) == (20, 1000)
    assert "re-run 7 and 992 more" in describe_openings(recorded)
    assert find_opening(recorded, entry)
    other = {**members, "re-run 999": 0.5}  # the same number, and alike in the first of them
    assert not find_opening(recorded, {**entry, "members": other})
    assert find_opening(recorded, {"trial": 3, "rerun": None})
    assert not find_opening(recorded, {"trial": 3, "rerun": 1})
    assert all(len(json.dumps(o)) < 2000 for o in recorded)


def test_openings_are_ordered_by_time(client: MlflowClient, write_search: Write) -> None:
    write_search([], {"test_opening.2": '{"trial": 2}', "test_opening.1": '{"trial": 1}'})
    search = read_search(client, "digits")
    add_opening(client, search, {"trial": 3})
    assert [o["trial"] for o in read_openings(client, search)] == [1, 2, 3]


@pytest.mark.parametrize("text", ["[{", "[]", "7"])
def test_a_damaged_record_is_an_error(
    text: str, client: MlflowClient, write_search: Write
) -> None:
    write_search([], {"test_opening.1": text})
    with pytest.raises(UserError, match=r"test_opening\.1"):
        read_openings(client, read_search(client, "digits"))


def test_openings_by_other_searches_of_the_same_data_count(
    client: MlflowClient, write_search: Write, read_report: Read, some_trials: Trials
) -> None:
    opened = {"trial": 3, "n": 400, "correct": 377}
    write_search([], {"search_name": "digits-other", "data_fingerprint": "another"})
    add_opening(client, read_search(client, "digits-other"), opened)
    write_search([], {"search_name": "digits_wide", "search": "first"})
    for number in (1, 2):
        add_opening(client, read_search(client, "digits_wide"), {**opened, "trial": number})
    gone = write_search([], {"search_name": "digits_old", "search": "gone"})
    add_opening(client, read_search(client, "digits_old"), opened)
    client.delete_run(gone)  # what was opened stays opened
    write_search(some_trials)
    text = read_report()
    assert "**2 other searches of the same data have opened this test set as well**" in text
    used = text[text.index("## Use of the test set") :]
    assert "The test set of this search was opened once: for trial 3" in used
    assert "**Other searches of the same data have opened it 3 times**" in used
    assert "digits_old (deleted) (1)" in used
    assert "digits_wide (2)" in used
    assert "with this search 4 times in all" in used
    assert "digits-other" not in used
    others = read_other_openings(client, read_search(client, "digits_wide"))
    assert sorted(others) == ["digits", "digits_old (deleted)"]
