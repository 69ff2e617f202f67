"""The files of a search have one place each."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.ledger.files import (
    attempt_folder,
    list_searches,
    log_path,
    parse_number,
    prune_attempt,
)


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


def test_the_files_of_an_ended_attempt_are_pruned(tmp_path: Path) -> None:
    attempt = tmp_path / "attempt-2"
    kept = ["best/manifest.json", "best/files-3/checkpoint_dir/a.txt", "best/test.parquet"]
    for name in ("last/state.safetensors", ".files/a.txt", ".draft/b/a.txt", *kept):
        (attempt / name).parent.mkdir(parents=True, exist_ok=True)
        (attempt / name).touch()
    (tmp_path / "attempt-1").mkdir()
    prune_attempt(attempt, keep_weights=True)
    left = [path.relative_to(attempt).as_posix() for path in tmp_path.rglob("*") if path.is_file()]
    assert sorted(left) == sorted(kept)
    prune_attempt(attempt, keep_weights=False)
    assert [path.name for path in (attempt / "best").iterdir()] == ["test.parquet"]
