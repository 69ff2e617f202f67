"""The tables of targets are written again where they are missing or damaged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from cluster.tuning.targets import repair_targets, write_targets
from trainables.predictor import GroundTruth

TRUTH = GroundTruth(
    targets={"validation": np.arange(500) % 7, "test": np.array(["a", "b"])},
    groups={"test": np.array(["x", "y"])},
)


def test_a_split_is_a_table(tmp_path: Path) -> None:
    write_targets(tmp_path / "data", TRUTH)
    validation, test = (
        pq.read_table(tmp_path / "data" / f"{split}.parquet") for split in TRUTH.targets
    )
    assert validation.column_names == ["id", "target"]
    assert validation["target"].to_pylist() == TRUTH.targets["validation"].tolist()
    assert test.to_pydict() == {"id": [0, 1], "target": ["a", "b"], "group": ["x", "y"]}


def test_lost_tables_are_written_again_and_named(tmp_path: Path) -> None:
    write_targets(tmp_path, TRUTH)
    assert repair_targets(tmp_path, TRUTH) == []
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    path = tmp_path / "validation.parquet"
    content = bytearray(before[path.name])
    content[200] ^= 1  # inside of a page
    for damaged in (bytes(content), before[path.name][:-20], b""):
        path.write_bytes(damaged)
        (note,) = repair_targets(tmp_path, TRUTH)
        assert note.startswith(f"{path} is damaged: ")
        assert note.endswith("; it is written again from the data")
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
    path.unlink()
    assert repair_targets(tmp_path, TRUTH) == [
        f"{path} is missing; it is written again from the data"
    ]
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
