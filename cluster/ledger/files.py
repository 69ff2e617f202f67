"""Where the files of a search are: its folder in a storage, and those of its trials."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

from trainables.file_parts import DRAFT, WORKING

JOURNAL = "study.journal"
"""File of the Optuna study in a search's folder."""
RERUNS = "confirm"
"""Folder of the ledger of re-runs, in a search's folder."""
OUTPUT = "output.txt"
"""File with what a task has printed, in the folder of an attempt."""


def parse_number(name: str, folder: str) -> int | None:
    """Return the number of a search, from 1, by its folder's name; None for another folder."""
    match = re.fullmatch(re.escape(name) + r"(?:-([1-9][0-9]*))?", folder)
    return int(match[1] or 1) if match else None


def list_searches(storage: Path, name: str) -> Iterator[tuple[int, Path]]:
    """Yield the number and the folder of every search of a space, in any order."""
    # Not `glob`: a name may contain its special characters.
    for path in storage.iterdir() if storage.is_dir() else ():
        number = parse_number(name, path.name)
        if number is not None:
            yield number, path


def log_path(search: Path, trial: int) -> Path:
    """Return the path of a trial's log."""
    return search / "trials" / f"{trial:03d}" / "reports.jsonl"


def journal_path(search: Path, arm: int | None = None) -> Path:
    """Return the path of a study's journal: arms that are tuned have one each."""
    return search / (JOURNAL if arm is None else f"study-{arm}.journal")


def list_journals(search: Path) -> list[Path]:
    """Return the journals of a search that exist."""
    journals = [search / JOURNAL, *sorted(search.glob("study-*.journal"))]
    return [path for path in journals if path.exists()]


def attempt_folder(search: Path, trial: int, attempt: int) -> Path:
    """Return the folder that an attempt at a trial writes to, below the search's folder."""
    return log_path(search, trial).with_name(f"attempt-{attempt}")


def prune_attempt(attempt: Path, keep_weights: bool) -> None:
    """Delete the files that an ended trial no longer needs, and its earlier attempts."""
    for old in attempt.parent.glob("attempt-*"):
        if old != attempt:
            shutil.rmtree(old, ignore_errors=True)
    for folder in ("last", WORKING, DRAFT):
        shutil.rmtree(attempt / folder, ignore_errors=True)
    if not keep_weights:
        delete_weights(attempt / "best")


def prune_failed_attempt(attempt: Path) -> None:
    """Delete all that the attempts at a failed trial have saved but what the last one printed."""
    prune_attempt(attempt, keep_weights=False)
    shutil.rmtree(attempt / "best", ignore_errors=True)
    with contextlib.suppress(OSError):
        attempt.rmdir()


def delete_weights(best: Path) -> None:
    """Delete what a checkpoint holds, except for predictions."""
    for path in best.glob("*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != ".parquet":
            path.unlink(missing_ok=True)
