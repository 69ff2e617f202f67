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
from reports.read.artifacts import (
    PREDICTIONS,
    SPLITS,
    download_artifact,
    has_artifact,
    list_files,
    list_recorded,
)
from reports.read.records import Tracker
from reports.records import Search, TrialRecord
from trainables.errors import UnreadableError, UserError

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


def list_splits(tracker: Tracker, search: Search) -> list[str]:
    """Return the splits whose examples the search has stored."""
    recorded = list_recorded(search.tags, SPLITS)
    if recorded is not None:
        return recorded
    listed = list_files(tracker, search.run_id, "data", search.name)
    return sorted(Path(path).stem for path in listed if path.endswith(".parquet"))


def read_examples(tracker: Tracker, search: Search, split: str) -> Examples | None:
    """Return the examples of a split, or None where the search has stored none.

    Raises UnreadableError where it has, and they cannot be read.
    """
    if split not in list_splits(tracker, search):
        return None
    table = _table(tracker, search.run_id, f"data/{split}.parquet", search.name)
    if not {"id", "target"} <= set(table.column_names):
        raise UnreadableError(
            f"data/{split}.parquet of {search.name!r} ({search.run_id}) is damaged: it has the "
            f"columns {', '.join(table.column_names) or 'none'} instead of id and target"
        )
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

    Raises UserError where the ids of predictions and examples differ, and UnreadableError where
    predictions are on record and cannot be read.
    """
    usable: list[TrialRecord] = []
    outputs: list[Array] = []
    artifact = f"predictions/{examples.split}.parquet"
    for run in runs:
        if not has_artifact(tracker, run, PREDICTIONS, artifact):
            continue
        table = _table(tracker, run.run_id, artifact, run.name)
        values = _values(table, examples)
        if values is None:
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


def _table(tracker: Tracker, run_id: str, artifact: str, name: str) -> pa.Table:
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifact(tracker, run_id, artifact, Path(folder), name)
        try:
            return pq.read_table(path, page_checksum_verification=True)
        except (pa.ArrowException, OSError) as error:
            raise UnreadableError(
                f"The artifact {artifact} of run {name!r} ({run_id}) is not a readable Parquet "
                "file: replace it by an intact copy."
            ) from error
