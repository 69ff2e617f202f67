"""The parts of a data set of texts: read from tables or the hub, checked, and stored as Arrow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from trainables.data import arrow, parquet, text_columns, text_tables
from trainables.data.losses import SHOWN, count_losses
from trainables.data.source import Source
from trainables.data.splitting import (
    Example,
    check_known_classes,
    describe_class_sizes,
    group_examples,
    list_names,
)
from trainables.data.text_columns import Columns
from trainables.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]
"""Texts (objects of type str, N) and their labels (int64, N)."""


Row = tuple[str, str | None, str | None, str]
"""The name of a row in messages, its text, the name of its class and of its group."""


@dataclass(frozen=True)
class TextParts:
    """The rows of every part as they were read; `classes` if the files name them, in order."""

    parts: Mapping[str, Sequence[Row]]
    classes: Sequence[str]
    title: str
    advice: str  # what to do where a class has too few
    files: Mapping[str, Sequence[Path]]  # of each part; none from the hub


def read_tables(
    source: Source, files: Mapping[str, Sequence[Path]], columns: Columns, losses: list[str]
) -> TextParts:
    """Read the tables of every part; `losses` gets the rows that cannot be used.

    Integers in Parquet files in a folder of the source's name are numbers of its classes.
    """
    tables = {part: [text_tables.read_table(path) for path in files[part]] for part in files}
    for part, of in tables.items():
        if not any(len(table.columns) for table in of):
            raise _describe_empty(
                part, files[part], [row for table in of for row in table.invalid]
            )
    first = tables["train"][0]
    found = text_columns.find_columns(first, columns)
    class_names = {
        table.class_names.get(found.label, ()) for of in tables.values() for table in of
    }
    if len(class_names) > 1:
        raise UserError(f"{source.name}: the files have different classes: {sorted(class_names)}")
    names = class_names.pop()
    if not names and first.path.parent.name == source.name and first.path.suffix == ".parquet":
        names = source.classes
    parts = {}
    for part, of in tables.items():
        rows: list[Row] = []
        for table in of:
            losses.extend(table.invalid)
            labels = text_columns.read_labels(table, found, names)
            texts = text_columns.read_texts(table, found)
            groups = text_columns.read_groups(table, found)
            rows += [
                (f"{table.path.name} row {number}", *row)
                for number, row in enumerate(zip(texts, labels, groups, strict=True), 1)
            ]
        parts[part] = rows
    title = (
        f"{source.name}: texts in the column {found.text!r} of {first.path}, "
        f"labels in {found.label!r}"
    )
    advice = (
        f"the labels are the column {found.label!r}; name another one with --set "
        "label_column=NAME, or leave out the rows of these classes"
    )
    return TextParts(parts, names, title, advice, files)


def _describe_empty(part: str, files: Sequence[Path], lost: Sequence[str]) -> UserError:
    """Return the error that a part has no text with a label, and why its rows have none."""
    place = list_names([str(path) for path in files]) if files else part
    if not lost:
        return UserError(f"{place} has no rows: {part} is empty\nadd rows of texts with labels")
    shown = "".join(f"\n  {row}" for row in lost[:SHOWN])
    more = f"\n  and {len(lost) - SHOWN:,} more" if len(lost) > SHOWN else ""
    return UserError(
        f"{place} has no texts with labels: {part} is empty\n"
        f"none of its {len(lost):,} rows can be used:{shown}{more}\ncorrect the rows"
    )


def read_hub(source: Source) -> TextParts:
    """Read the splits of a source from the hub."""
    parts = {}
    for part, shards in parquet.download_splits(source).items():
        cells = [row for shard in shards for chunk in shard.read() for row in chunk]
        parts[part] = [
            (
                f"{part} row {number}",
                text,
                source.classes[label] if label in range(len(source.classes)) else None,
                "",
            )
            for number, (text, label) in enumerate(cells, 1)
        ]
    return TextParts(parts, source.classes, f"{source.name}: texts of {source.hub}", "", {})


def write_parts(
    source: Source, content: TextParts, losses: list[str], draft: Path, summary: list[str]
) -> None:
    """Write the texts, their labels and groups, and facts about them; extend the summary."""
    total = len(losses) + sum(len(rows) for rows in content.parts.values())
    kept: dict[str, list[tuple[str, str, str, str]]] = {}
    for part, rows in content.parts.items():
        kept[part], before = [], len(losses)
        for name, text, label, group in rows:
            if text is None or not text.strip():
                losses.append(f"{name}: no text")
            elif label is None:
                losses.append(f"{name}: no label of a class")
            else:
                kept[part].append((name, text, label, group))
        if not kept[part]:
            raise _describe_empty(part, content.files.get(part, ()), losses[before:])
    labels = {part: [row[2] for row in rows] for part, rows in kept.items()}
    classes = tuple(content.classes) or text_columns.sort_classes(labels["train"])
    others = {part: text_columns.sort_classes(found) for part, found in labels.items()}
    check_known_classes(source.name, classes, others)
    numbers = {name: number for number, name in enumerate(classes)}
    examples = {
        part: [
            Example(name, numbers[label], " ".join(text.split()), group)
            for name, text, label, group in rows
        ]
        for part, rows in kept.items()
    }
    groups, told = group_examples(source.name, examples)
    allow_empty = bool(content.classes)
    advice = [*told, *(f"left out: {name}" for name in losses[:5])]
    advice += [content.advice] if content.advice else []
    unfit = describe_class_sizes(
        source.name, classes, examples, groups, advice, allow_empty=allow_empty
    )
    checksum = hashlib.sha256(json.dumps([*classes]).encode())
    for part, rows in kept.items():
        texts = [text for _, text, _, _ in rows]
        codes = [example.label for example in examples[part]]
        checksum.update(json.dumps([part, texts, codes, groups[part].tolist()]).encode())
        columns = {"text": pa.array(texts, pa.string()), "label": pa.array(codes, pa.int64())}
        arrow.write(draft / f"{part}.arrow", {**columns, "group": pa.array(groups[part])})
    facts = {
        "fingerprint": checksum.hexdigest()[:16],
        "classes": classes,
        "unfit": unfit,
        "losses": vars(count_losses(total, losses)),
    }
    (draft / "facts.json").write_text(json.dumps(facts), encoding="utf-8")
    count = sum(map(len, kept.values()))
    summary += [content.title, f"{count:,} texts of {len(classes)} classes: {list_names(classes)}"]
    summary += [f"left out: {len(losses):,} rows ({losses[0]}, ...)"] if losses else []
    summary += told


def read_parts(folder: Path) -> tuple[dict[str, Any], dict[str, Arrays], dict[str, np.ndarray]]:
    """Return what `write_parts` wrote: facts, and arrays and groups of every part."""
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{folder} is damaged: {error}\ndelete that folder") from error
    arrays, groups = {}, {}
    for path in sorted(folder.glob("*.arrow")):
        columns = arrow.read_mapped(path)
        groups[path.stem] = columns["group"].to_numpy()
        texts = columns["text"].to_numpy(zero_copy_only=False)
        # A copy, because torch needs writable memory.
        arrays[path.stem] = texts, columns["label"].to_numpy().copy()
    return facts, arrays, groups
