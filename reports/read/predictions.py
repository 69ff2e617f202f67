"""Stored predictions, joined by id to the right answers of their split.

Test predictions are read through `opened_test.py` alone, which puts every opening on record.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from reports.numbers.statistics import align_rows
from reports.read.records import Tracker, download_artifact
from reports.records import Search, TrialRecord
from trainables.errors import UserError

Array = NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """A split: ids (n,) ascending and their targets (n,), integers or answers of any kind.

    `groups` (n,) names the part of the data that an example belongs to, where there are parts.
    """

    split: str
    ids: NDArray[np.int64]
    targets: Array
    groups: Array | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Predictions:
    """What runs said of the same examples: one array per run, all of one kind.

    Probabilities (n, classes) float32, or answers (n,).
    """

    examples: Examples
    runs: tuple[TrialRecord, ...]
    outputs: tuple[Array, ...]

    @property
    def has_answers(self) -> bool:
        return bool(self.outputs) and self.outputs[0].ndim == 1


def read_examples(tracker: Tracker, search: Search, split: str) -> Examples | None:
    """The right answers of a split, or None where none are stored."""
    table = _table(tracker, search.run_id, f"data/{split}.parquet", search.name)
    if table is None or not {"id", "target"} <= set(table.column_names):
        return None
    ids = table["id"].to_numpy()
    order = np.argsort(ids)
    columns = {name: table[name].to_numpy(zero_copy_only=False) for name in table.column_names}
    groups = columns["group"][order].astype(str) if "group" in columns else None
    return Examples(split, ids[order], columns["target"][order], groups)


def count_examples(tracker: Tracker, search: Search) -> dict[str, int]:
    """Return the number of examples of the splits whose ids are stored; reads no prediction."""
    found = {split: read_examples(tracker, search, split) for split in ("validation", "test")}
    return {split: len(examples) for split, examples in found.items() if examples is not None}


def read_predictions(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord], examples: Examples
) -> Predictions:
    """What these runs predicted; those without usable predictions of the split are left out.

    Raises UserError where predictions and examples do not belong together.
    """
    kept: list[TrialRecord] = []
    outputs: list[Array] = []
    artifact = f"predictions/{examples.split}.parquet"
    for run in runs:
        table = _table(tracker, run.run_id, artifact, run.name)
        values = None if table is None else _values(table, examples)
        if table is None or values is None:
            continue
        try:
            rows = align_rows(table["id"].to_numpy(), examples.ids)
            if values.ndim == 2 and not np.isfinite(values).all():
                raise ValueError("a probability is not finite")
        except (KeyError, ValueError) as error:
            raise UserError(
                f"The {examples.split} predictions of run {run.name!r} ({run.run_id}) cannot be "
                f"judged: {error}\nThey must hold the ids of data/{examples.split}.parquet of "
                f"the search {search.name!r}."
            ) from error
        if outputs and values.shape[1:] != outputs[0].shape[1:]:
            raise UserError(
                f"Run {run.name!r} predicts another number of classes than {kept[0].name!r}: "
                f"{values.shape[1:]} against {outputs[0].shape[1:]}."
            )
        kept.append(run)
        outputs.append(values[rows])
    return Predictions(examples, tuple(kept), tuple(outputs))


def find_correct(output: Array, targets: Array) -> NDArray[np.bool_]:
    """Which examples a model gets right, (n,): by its most probable class, or by its answer."""
    guesses = output.argmax(axis=1) if output.ndim == 2 else output
    return np.asarray(guesses == targets)


def _values(table: pa.Table, examples: Examples) -> Array | None:
    if "answer" in table.column_names:
        return np.asarray(table["answer"].to_numpy(zero_copy_only=False))
    names = [f"p{i}" for i in range(table.num_columns)]
    names = [name for name in names if name in table.column_names]
    if len(names) < 2 or not np.issubdtype(examples.targets.dtype, np.integer):
        return None
    return np.column_stack([table[name].to_numpy().astype(np.float32) for name in names])


def _table(tracker: Tracker, run_id: str, artifact: str, name: str) -> pa.Table | None:
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifact(tracker, run_id, artifact, Path(folder))
        if path is None:
            return None
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise UserError(
                f"The artifact {artifact} of run {name!r} ({run_id}) is no readable Parquet file, "
                "cut off or damaged.\nDelete it, and the report goes without what it would show; "
                "or put a whole copy in its place."
            ) from error
