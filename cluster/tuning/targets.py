"""The targets of a search's data, one table per split, as reports join them with predictions."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from trainables.predictor import GroundTruth


def write_targets(folder: Path, truth: GroundTruth) -> None:
    """Write a table per split: the columns id, target and, where the data have parts, group."""
    folder.mkdir(exist_ok=True)
    for split in truth.targets:
        _write_table(folder, truth, split)


def repair_targets(folder: Path, truth: GroundTruth) -> list[str]:
    """Write tables that are missing or damaged again, and return a note for the user on each.

    The data are known to be those that the search was started on.
    """
    notes = []
    folder.mkdir(exist_ok=True)
    for split in truth.targets:
        path = folder / f"{split}.parquet"
        try:
            pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            why = (
                "is missing" if not path.exists() else f"is damaged: {str(error).splitlines()[0]}"
            )
            notes.append(f"{path} {why}; it is written again from the data")
            _write_table(folder, truth, split)
    return notes


def _write_table(folder: Path, truth: GroundTruth, split: str) -> None:
    targets = truth.targets[split]
    columns = {"id": range(len(targets)), "target": targets}
    if split in truth.groups:
        columns["group"] = [str(group) for group in truth.groups[split]]
    part = folder / f"{split}.parquet.part"
    pq.write_table(pa.table(columns), part, write_page_checksum=True)
    part.replace(folder / f"{split}.parquet")
