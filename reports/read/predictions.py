"""Read stored predictions, joined by id to the targets of their split.

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
    """A split: ids (n,), ascending, and their targets (n,), integers or answers of any type.

    `groups` (n,) are the names of the parts of the data, where it has parts.
    """

    split: str
    ids: NDArray[np.int64]
    targets: Array
    groups: Array | None = None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Predictions:
    """Predictions of several runs for the same examples: one array per run.

    All are probabilities (n, classes) float32, or all are answers (n,).
    """

    examples: Examples
    runs: tuple[TrialRecord, ...]
    outputs: tuple[Array, ...]

    @property
    def has_answers(self) -> bool:
        """Return whether these are answers and not probabilities."""
        return bool(self.outputs) and self.outputs[0].ndim == 1


def read_examples(tracker: Tracker, search: Search, split: str) -> Examples | None:
    """Return the examples of a split, or None where none are stored."""
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
    """Return the predictions of these runs, without runs that have no usable ones of the split.

    Raises UserError where the ids of predictions and examples differ.
    """
    usable: list[TrialRecord] = []
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
                f"used: {error}\nThey must have the ids of data/{examples.split}.parquet of "
                f"the search {search.name!r}."
            ) from error
        if outputs and values.shape[1:] != outputs[0].shape[1:]:
            raise UserError(
                f"Run {run.name!r} predicts another number of classes than {usable[0].name!r}: "
                f"{values.shape[1:]} against {outputs[0].shape[1:]}."
            )
        usable.append(run)
        outputs.append(values[rows])
    return Predictions(examples, tuple(usable), tuple(outputs))


def find_correct(output: Array, targets: Array) -> NDArray[np.bool_]:
    """Return which examples a model predicts correctly, (n,).

    `output` are probabilities (n, classes) or answers (n,).
    """
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
                f"The artifact {artifact} of run {name!r} ({run_id}) is not a readable Parquet "
                "file.\nReplace it by an intact copy, or delete it: the report then leaves out "
                "what depends on it."
            ) from error
