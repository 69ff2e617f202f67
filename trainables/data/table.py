"""A table of the user's own, of which one column is predicted from the others.

Read once per machine. Columns are recognized: numbers, categories, and those to leave out. Copies
of a row are kept in one part where equal rows are rare. Rows without a target are left out.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables import cache as caches
from trainables.data import arrow, parquet, text_tables
from trainables.data import table_columns as cols
from trainables.data.losses import ACCEPTED, Losses, check_losses, count_losses
from trainables.data.own import OWN_TABLE
from trainables.data.splitting import (
    Example,
    describe_class_sizes,
    group_examples,
    split_stratified,
    tell_apart,
)
from trainables.data.table_columns import TableColumns, TargetKind
from trainables.errors import UserError
from trainables.predictor import DataKind, GroundTruth
from trainables.terminal import print_text

LAYOUT = 2  # version of the Arrow files; a new number makes every machine read the files again
HELD_OUT = 0.2  # fraction of all rows, each, for a validation and a test set that are drawn
PLACEHOLDER_SIZES = {"train": 120, "validation": 40, "test": 40}


@dataclass(frozen=True)
class TableSplit:
    """A split: rows (n, columns) of numbers and texts, and targets (n,): int64 or float64."""

    rows: np.ndarray
    targets: np.ndarray

    def __len__(self) -> int:
        return len(self.targets)

    def select(self, chosen: np.ndarray) -> TableSplit:
        """Return the split with these rows only."""
        return TableSplit(self.rows[chosen], self.targets[chosen])


@dataclass(frozen=True)
class TableData:
    """The three splits of a table; without `classes` the target is a number."""

    columns: TableColumns
    train: TableSplit
    validation: TableSplit
    test: TableSplit
    classes: tuple[str, ...]
    fingerprint: str
    source: DataKind


def load(
    *,
    folder: Path | None,
    cache: Path,
    kind: DataKind = "real",
    target: str = "",
    target_kind: TargetKind = "auto",
    accept_losses: float = ACCEPTED,
    known: TableColumns | None = None,
) -> TableData:
    """Load a table; read its file first if this machine has not done so yet.

    `folder` is a table, or holds one, or one per part. Parts that it does not have are drawn from
    train, a fifth of all rows each, stratified by the target, always the same. `target` names the
    column to predict where it is not found, `target_kind` says whether it is a class or a number.
    `known` are the columns of a model that is scored on these data, which may be few or of one
    class: a part that is drawn may be empty.
    Raises DataMissingError, or UserError for a table that cannot be used or of which a larger
    fraction of the rows than `accept_losses` cannot.
    """
    if kind == "synthetic":
        raise UserError("own_table has no synthetic data; omit --data synthetic")
    if kind == "placeholder":
        return _draw_placeholder()
    assert folder is not None
    files = text_tables.find_tables(OWN_TABLE, folder)
    key: dict[str, object] = {"table": LAYOUT, "target": target, "kind": target_kind}
    key |= {"files": parquet.hash_files(files, cache)}
    key |= {"known": vars(known)} if known else {}
    summary: list[str] = []

    def build(draft: Path) -> None:
        _write(draft, files, target, target_kind, known, summary)

    stored = caches.get_or_build(cache, OWN_TABLE.name, key, build)
    facts, parts, groups = _read(stored)
    columns = TableColumns(**facts["columns"])
    splits = _make_splits(parts, groups, columns.is_regression)
    if known is None:
        _check_sizes(splits, len(parts["train"]))
    if columns.is_regression and known is None:
        _check_target_varies(splits, columns.target, files["train"][0])
    if summary and known is None:
        sizes = "split: {:,} train, {:,} validation, {:,} test"
        summary.append(sizes.format(*(len(splits[name]) for name in splits)))
    if summary:
        print_text("\n  ".join(summary), sys.stderr)
    found = facts["losses"]
    losses = Losses(found["total"], found["lost"], tuple(found["first"]))
    check_losses(OWN_TABLE.name, losses, accept_losses, is_set=known is None)
    return TableData(
        columns, **splits, classes=facts["classes"], fingerprint=facts["fingerprint"], source=kind
    )


def build_ground_truth(data: TableData) -> GroundTruth:
    """Return rows and labels for reports; a regression has `examples` alone, without classes."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    names = ("validation", "test") if data.classes else ()
    held_out = [name for name in names if len(splits[name])]
    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        is_own=True,
        classes=data.classes,
        targets={name: splits[name].targets for name in held_out},
        inputs=lambda name: splits[name].rows,
        examples=lambda name: (splits[name].rows, splits[name].targets),
        columns=data.columns.kinds,
    )


def _write(
    draft: Path,
    files: Mapping[str, Sequence[Path]],
    target: str,
    kind: TargetKind,
    known: TableColumns | None,
    summary: list[str],
) -> None:
    """Read the tables of every part; write their columns, and facts about them."""
    tables = {part: [text_tables.read_table(path) for path in files[part]] for part in files}
    first = tables["train"][0]
    target = cols.find_target(first, target, known)
    targets = {part: cols.read_column(of, target) for part, of in tables.items()}
    values = [value for of in targets.values() for value in of]
    is_regression = cols.is_regression(values, target, kind, known)
    if not is_regression and cols.to_numbers(values) is None:
        # The name of a class may be a word for a missing value, such as none.
        targets = {part: cols.read_column(of, target, cols.EMPTY) for part, of in tables.items()}
    names = [name for name in first.columns.column_names if name != target]
    raw = {p: {name: cols.read_column(of, name) for name in names} for p, of in tables.items()}
    numbers, categories, ignored, mixed = cols.describe_columns(raw["train"], known)
    if not numbers + categories:
        raise UserError(
            f"{first.path} has no column that predicts {target!r}: "
            + "; ".join(f"{name!r} is {why}" for name, why in ignored.items())
        )
    columns = TableColumns(target, is_regression, numbers, categories)
    losses = [line for of in tables.values() for table in of for line in table.invalid]
    total = len(losses) + sum(map(len, targets.values()))
    kept = {}
    for part, values in targets.items():
        kept[part] = [row for row, value in enumerate(values) if value is not None]
        lost = sorted({*range(len(values))} - {*kept[part]})
        losses += [f"{part} row {row + 1}: no value of {target}" for row in lost]
        if not kept[part]:
            raise UserError(f"{first.path}: {part} has no row with a value of {target!r}")
    labels = {part: [str(targets[part][row]) for row in rows] for part, rows in kept.items()}
    classes, codes = cols.encode_targets(labels, is_regression, known is not None)

    def row_of(part: str, row: int) -> tuple[str | None, ...]:
        return (targets[part][row], *(raw[part][name][row] for name in names))

    examples = {
        part: [
            Example(f"{part} row {row + 1}", int(label), row_of(part, row))
            for row, label in zip(rows, cols.to_strata(codes[part], is_regression), strict=True)
        ]
        for part, rows in kept.items()
    }
    examples, equal = tell_apart(examples)
    groups, told = group_examples(OWN_TABLE.name, examples)
    if not is_regression and known is None:
        advice = [
            f"the target is the column {target!r}; --set target=NAME names another one, "
            "--set kind=regression estimates a number"
        ]
        if unfit := describe_class_sizes(OWN_TABLE.name, classes, examples, groups, advice):
            raise UserError(unfit)
    checksum = hashlib.sha256(json.dumps([target, classes, names]).encode())
    for part, rows in kept.items():
        checksum.update(json.dumps([part, labels[part], groups[part].tolist()]).encode())
        content = {"target": pa.array(codes[part]), "group": pa.array(groups[part])}
        for index, name in enumerate(columns.names):
            values = [raw[part][name][row] for row in rows]
            checksum.update(json.dumps(values).encode())
            content[f"column {index}"] = cols.to_arrow(values, name, index < len(numbers), part)
        arrow.write(draft / f"{part}.arrow", content)
    facts = {
        "columns": vars(columns),
        "classes": classes,
        "fingerprint": checksum.hexdigest()[:16],
        "losses": vars(count_losses(total, losses)),
    }
    (draft / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    summary += cols.tell_columns(first.path, columns, classes, ignored, mixed)
    summary += [f"left out: {len(losses):,} rows ({losses[0]}, ...)"] if losses else []
    summary += equal + told


def _read(
    folder: Path,
) -> tuple[dict[str, Any], dict[str, TableSplit], dict[str, np.ndarray]]:
    """Return what `_write` wrote: facts, and the rows and groups of every part."""
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is damaged: {error}\ndelete that folder") from error
    facts["classes"] = tuple(facts["classes"])
    facts["columns"] |= {n: tuple(facts["columns"][n]) for n in ("numbers", "categories")}
    parts, groups = {}, {}
    for path in sorted(folder.glob("*.arrow")):
        content = arrow.read_mapped(path)
        columns = [content[name] for name in content if name.startswith("column ")]
        rows = np.empty((len(content["target"]), len(columns)), dtype=object)
        for index, column in enumerate(columns):
            rows[:, index] = column.to_numpy(zero_copy_only=False)
        # Copies, because torch needs writable memory.
        parts[path.stem] = TableSplit(rows, content["target"].to_numpy().copy())
        groups[path.stem] = content["group"].to_numpy().copy()
    return facts, parts, groups


def _make_splits(
    parts: Mapping[str, TableSplit], groups: Mapping[str, np.ndarray], is_regression: bool
) -> dict[str, TableSplit]:
    """Return the three splits; those that the table does not have are drawn from train."""
    splits = dict(parts)
    own = groups["train"]
    train, own = parts["train"].select(own >= 0), own[own >= 0]
    if not len(train):
        raise UserError("own_table: every row of train is in validation or test, too")
    fraction = HELD_OUT
    for part in ("test", "validation"):
        if part not in splits:
            strata = cols.to_strata(train.targets, is_regression)
            rest, drawn = split_stratified(strata, fraction, 0, own)
            splits[part] = train.select(drawn)
            train, own = train.select(rest), own[rest]
            fraction = HELD_OUT / (1 - HELD_OUT)
    return {"train": train, "validation": splits["validation"], "test": splits["test"]}


def _check_sizes(splits: Mapping[str, TableSplit], count: int) -> None:
    """Raise UserError where a part could not be drawn from the rows of train."""
    if empty := [part for part, split in splits.items() if not len(split)]:
        raise UserError(f"own_table: {count} rows in train are too few to draw {empty[0]} from")


def _check_target_varies(splits: Mapping[str, TableSplit], target: str, path: Path) -> None:
    """Raise UserError for a number that is the same in all rows that train or score a model."""
    for part in ("train", "validation"):
        values = np.unique(splits[part].targets)
        if len(values) < 2:
            raise UserError(
                f"{path}: the target {target!r} is {values[0]:g} in all {len(splits[part])} rows "
                f"of {part}, so no model can be better than another\n"
                "name another column with --set target=NAME, or give more rows"
            )


def _draw_placeholder() -> TableData:
    """Draw rows of two numbers and a category, some missing, whose class depends on all three."""
    splits = {}
    for index, (part, count) in enumerate(PLACEHOLDER_SIZES.items()):
        generator = np.random.default_rng(index)
        rows = np.empty((count, 3), dtype=object)
        numbers = generator.normal(size=(count, 2))
        rows[:, :2] = np.where(generator.random((count, 2)) < 0.1, np.nan, numbers)
        rows[:, 2] = generator.choice(np.array(["red", "green", "blue", None]), count)
        score = numbers.sum(1) + (rows[:, 2] == "red") + generator.normal(size=count)
        splits[part] = TableSplit(rows, (score > 0.3).astype(np.int64))
    columns = TableColumns("y", False, ("a", "b"), ("color",))
    return TableData(
        columns, **splits, classes=("0", "1"), fingerprint="placeholder", source="placeholder"
    )
