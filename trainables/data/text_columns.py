"""Which columns of a table are the texts, the labels and the groups, and what they hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from trainables.data.splitting import list_names
from trainables.data.text_tables import Table
from trainables.errors import UserError

LABELS = (
    ("label", "labels"),
    (
        *("class", "target", "category", "sentiment", "y", "topic", "stars", "rating", "intent"),
        *("emotion", "polarity", "tag"),
    ),
)  # names of the column of labels, those of the first group before those of the second
INDEXES = ("", "id", "idx", "index", "unnamed: 0")
SAMPLE = 1000  # texts that tell whether a column is one of texts
MIN_LENGTH = 12  # characters of the mean text


@dataclass(frozen=True)
class Columns:
    """The names of the columns, empty if they are to be found; no group: every text is one."""

    text: str = ""
    label: str = ""
    group: str = ""


def find_columns(table: Table, named: Columns) -> Columns:
    """Return the columns of a table: those that are named, the others found.

    The texts are the column `text`, or the only one with several words per value; the labels are
    the column `label`, or one with another usual name, or the only other one. Raises UserError
    with the names of all columns where this is not clear.
    """
    names = table.columns.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{table.path} has two columns {list_names(repeated)}\nrename one of them")
    for option, name in vars(named).items():
        if name and name not in names:
            raise _ask(table, option, f"has no column {name!r}")
    rest = [name for name in names if name not in vars(named).values()]
    strings = [name for name in rest if _is_string(table.columns.schema.field(name).type)]
    label = named.label or _find_label(rest)
    text = named.text
    if not text:
        prose = [name for name in strings if name != label and _is_prose(table, name)]
        short = [n for n in strings if n != label and n.strip().lower() not in INDEXES]
        exact = [name for name in short if name.strip().lower() == "text"]
        found = exact or prose or (short if label else [])
        if len(found) != 1:
            which = f"several of them ({list_names(found)})" if found else "none of them"
            raise _ask(table, "text", f"does not tell its texts: {which} may be the texts")
        text = found[0]
    if not label:
        others = [n for n in rest if n != text and _may_be_labels(table, n)]
        if len(others) != 1:
            raise _ask(table, "label", "does not tell its labels")
        label = others[0]
    if table.has_header and label in set(_to_strings(table, label)):
        raise UserError(
            f"{table.path} seems to have data in its first line: {list_names(names)}\n"
            "write the names of the columns into the first line, such as text,label"
        )
    return Columns(text, label, named.group)


def read_texts(table: Table, columns: Columns) -> list[str | None]:
    """Return the texts of a table; raises UserError if the column holds something else."""
    _check_column(table, columns.text, "text")
    kind = table.columns.schema.field(columns.text).type
    if not _is_string(kind):
        raise _ask(table, "text", f"has {kind} in the column {columns.text!r}, not texts")
    return _to_strings(table, columns.text)


def read_labels(table: Table, columns: Columns, names: Sequence[str]) -> list[str | None]:
    """Return the name of the class of each text, None without one.

    Integers are numbers of `names`, if there are any, else names themselves.
    """
    _check_column(table, columns.label, "label")
    column = _decode(table.columns[columns.label])
    kind = column.type
    if pa.types.is_integer(kind) and names:
        values = column.to_pylist()
        return [names[v] if v is not None and 0 <= v < len(names) else None for v in values]
    if pa.types.is_null(kind):
        return [None] * len(column)
    if not _is_plain(kind) or pa.types.is_temporal(kind):
        raise _ask(table, "label", f"has {kind} in the column {columns.label!r}, not labels")
    labels = [None if v is None else v.strip() or None for v in _to_strings(table, columns.label)]
    if all(label is None or re.fullmatch(r"-?\d+(\.0*)?|nan", label) for label in labels):
        # Integers with missing values, as pandas writes them.
        labels = [None if v in (None, "nan") else str(v).partition(".")[0] for v in labels]
    return labels


def read_groups(table: Table, columns: Columns) -> list[str]:
    """Return the name of each text's group, empty without one."""
    if not columns.group:
        return [""] * len(table.columns)
    _check_column(table, columns.group, "group")
    kind = _decode(table.columns[columns.group]).type
    if not _is_plain(kind):
        raise _ask(table, "group", f"has {kind} in the column {columns.group!r}, not names")
    return [value or "" for value in _to_strings(table, columns.group)]


def sort_classes(labels: Sequence[str]) -> tuple[str, ...]:
    """Return the different labels in order: numbers by their value."""
    found = set(labels)
    if all(re.fullmatch(r"-?\d+", label) for label in found):
        return tuple(sorted(found, key=lambda label: (int(label), label)))
    return tuple(sorted(found))


def _find_label(names: Sequence[str]) -> str:
    for usual in LABELS:
        found = [name for name in names if name.strip().lower() in usual]
        if len(found) == 1:
            return found[0]
        if found:
            return ""
    return ""


def _may_be_labels(table: Table, name: str) -> bool:
    """Return whether values of a column are repeated, unlike those of an index."""
    if not _is_plain(_decode(table.columns[name]).type):
        return False
    values = _to_strings(table, name, SAMPLE)
    return name.strip().lower() not in INDEXES and len(set(values)) <= len(values) / 2


def _is_prose(table: Table, name: str) -> bool:
    """Return whether most values have several words, or are written without spaces, as in CJK."""
    values = [v for v in _to_strings(table, name, SAMPLE) if v and v.strip()]
    if not values or sum(map(len, values)) < MIN_LENGTH * len(values):
        return False
    words = [len(re.findall(r"[^\W\d_]+", value)) for value in values]
    spaced = sum(count >= 2 and " " in v for count, v in zip(words, values, strict=True))
    foreign = sum(sum(ord(c) > 0x2E80 for c in value) >= 4 for value in values)
    return spaced + foreign > len(values) / 2


def _is_string(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def _is_plain(kind: pa.DataType) -> bool:
    """Return whether values are texts or numbers, and not lists or images."""
    return _is_string(kind) or bool(pa.types.is_primitive(kind))


def _decode(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _to_strings(table: Table, name: str, count: int | None = None) -> list[str | None]:
    column = _decode(table.columns[name].slice(0, count))
    values: list[str | None] = pc.cast(column, pa.string()).to_pylist()
    return values


def _check_column(table: Table, name: str, option: str) -> None:
    if name not in table.columns.column_names:
        raise _ask(table, option, f"has no column {name!r}")


def _ask(table: Table, option: str, what: str) -> UserError:
    columns = table.columns.column_names
    return UserError(
        f"{table.path} {what}\nits columns are {list_names(columns, 30)}\n"
        f"name it: --set {option}_column=NAME"
    )
