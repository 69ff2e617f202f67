"""The files of a search have one place each."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ledger.files import attempt_folder, list_searches, log_path, parse_number


@pytest.mark.parametrize(
    ("folder", "number"),
    [
        *(("toy", 1), ("toy-2", 2), ("toy-10", 10)),
        *(("toy-x", None), ("toy-0", None), ("toy-٣", None), ("toys", None), ("to", None)),
    ],
)
def test_a_folder_of_a_space_has_a_number(folder: str, number: int | None) -> None:
    assert parse_number("toy", folder) == number


def test_all_searches_of_a_space_are_listed(tmp_path: Path) -> None:
    assert not list(list_searches(tmp_path / "none", "a*"))
    for name in ("a*", "a*-2", "ab"):
        (tmp_path / name).mkdir()
    assert sorted(list_searches(tmp_path, "a*")) == [(1, tmp_path / "a*"), (2, tmp_path / "a*-2")]


def test_a_trial_has_a_folder_per_attempt(tmp_path: Path) -> None:
    assert log_path(tmp_path, 7) == tmp_path / "trials" / "007" / "reports.jsonl"
    assert attempt_folder(tmp_path, 1234, 2) == tmp_path / "trials" / "1234" / "attempt-2"
