"""The record of openings: nothing is truncated and nothing is lost."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.read.holdout_log import add_opening, describe_openings, find_opening, read_openings
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
