"""Begins a search in the storage folder, or goes on with one: what may differ and what may not."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import filelock
import pyarrow as pa
import pyarrow.parquet as pq

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.options import ResumeMode
from trainables.errors import UserError
from trainables.predictor import GroundTruth


def check_storage(storage: Path) -> None:
    """Make sure that the storage folder can be written to; raises UserError."""
    probe = storage / f".writable-{os.getpid()}"
    try:
        storage.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"x" * 1_000_000)
    except OSError as error:
        raise UserError(
            f"the storage folder {storage} cannot be written to: {error.strerror}\n"
            "make room there, or choose another with --storage DIR"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def find_search(storage: Path, name: str, going: ResumeMode) -> Path | None:
    """Find the search to go on with; None for a new one. Raises where the user must choose."""
    folder = ledgers.find_newest(storage, name)
    if folder is not None and going is None:
        raise UserError(
            f"there is a search of {name} in {folder}\n"
            "  --resume  goes on with it, or extends it with a larger --trials\n"
            "  --fresh   starts another beside it"
        )
    return folder if going == "resume" else None


def merge_settings(
    folder: Path, settings: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Take an existing search's settings; what was `given` and differs is refused, all at once.

    A larger `trials` extends the search.
    """
    old = {**settings}
    differing = [
        f"  {name}: {old.get(name)!r} there, {value!r} now"
        for name, value in given.items()
        if value is not None
        and old.get(name) != value
        and not (name == "trials" and value > old["trials"])
    ]
    if differing:
        raise UserError(
            f"the search in {folder} was begun with other settings:\n"
            + "\n".join(differing)
            + "\nleave them out to go on with it, or start another with --fresh"
        )
    if given.get("trials"):
        old["trials"] = given["trials"]
    return old


def create_search(
    storage: Path,
    name: str,
    settings: Mapping[str, Any],
    truth: GroundTruth,
    going: ResumeMode = None,
) -> Ledger:
    """Create the folder of a new search, with the right answers of its data, settings last.

    A split's table has the columns id, target and, where the data have parts, group. Raises
    UserError where another process has begun the search since `find`, unless going `fresh`.
    """
    with filelock.FileLock(storage / f".{name}.lock"):
        if going != "fresh" and (other := ledgers.find_newest(storage, name)):
            raise UserError(
                f"another process has just begun the search in {other}\n"
                "wait for it, or start another search beside it with --fresh"
            )
        return _written(ledgers.create_ledger(storage, name, settings), truth)


def _written(ledger: Ledger, truth: GroundTruth) -> Ledger:
    folder = ledger.folder / "data"
    folder.mkdir()
    for split, targets in truth.targets.items():
        columns: dict[str, Any] = {"id": range(len(targets)), "target": targets}
        if split in truth.groups:
            columns["group"] = [str(name) for name in truth.groups[split]]
        pq.write_table(pa.table(columns), folder / f"{split}.parquet")
    ledgers.write_settings(ledger.folder, ledger.settings)
    return ledger
