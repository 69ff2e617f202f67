"""What the columns of a table are: the target, numbers, categories, or nothing to learn from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainables.data.splitting import check_known_classes, list_names
from trainables.data.text_columns import sort_classes
from trainables.data.text_tables import Table
from trainables.errors import UserError

TargetKind = Literal["auto", "classification", "regression"]
TARGETS = ("label", "target", "class", "y")
INDEXES = ("", "id", "idx", "index", "unnamed: 0", "__index_level_0__")
EMPTY = ("", "nan")
MISSING = (*EMPTY, "na", "n/a", "null", "none", "?")
"""Texts that stand for a missing value, in lower case."""
MOST_CLASSES = 20
"""Different whole numbers of a target that are classes; more of them are numbers."""
MOST_LEVELS = 100
"""Categories of a column that the model tells apart: the most frequent ones."""
UNIQUE = 0.9
"""Fraction of different values from which a column of texts is a name, not a category."""
PUNCTUATION = re.compile(r"[,'%_\s]")
"""What other programs write in a number: a decimal comma, separators of thousands, a percent."""
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.IGNORECASE)
STRATA = 5
"""Quantiles of a regression's target: a part that is drawn has as many rows of each."""

Values = np.ndarray
"""The values of a column (n,): float64 with NaN, or objects of type str or None."""


@dataclass(frozen=True)
class TableColumns:
    """The name and the kind of the target, and the columns that predict it, numbers first."""

    target: str
    is_regression: bool
    numbers: tuple[str, ...]
    categories: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the columns that predict the target."""
        return self.numbers + self.categories

    @property
    def kinds(self) -> dict[str, str]:
        """Return by name whether a column is a number or a category."""
        return name_kinds(self.numbers, self.categories)


def name_kinds(numbers: Iterable[str], categories: Iterable[str]) -> dict[str, str]:
    """Return these columns by name with their kind, the numbers first."""
    return dict.fromkeys(numbers, "number") | dict.fromkeys(categories, "category")


def find_target(table: Table, named: str, known: TableColumns | None = None) -> str:
    """Return the column to predict: the named one, one with a usual name, or the last one.

    `known` are the columns of a model, whose target is taken. Raises UserError where the table has
    no such column, or two columns of one name.
    """
    names = table.columns.column_names
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{table.path} has two columns {list_names(repeated)}\nrename one of them")
    if known is not None:
        named = known.target or named
        wanted = {named: f"{named} (its target)"} | {name: name for name in known.names}
        if missing := [text for name, text in wanted.items() if name and name not in names]:
            raise UserError(
                f"{table.path} lacks columns of the model: {list_names(missing)}\n"
                f"its columns are {list_names(names, 30)}"
            )
    elif named and named not in names:
        raise UserError(
            f"{table.path} has no column {named!r}\nits columns are {list_names(names, 30)}\n"
            "name the one to predict: --set target=NAME"
        )
    usual = [name for name in names if name.strip().lower() in TARGETS]
    return named or (usual[0] if len(usual) == 1 else names[-1])


def read_column(
    tables: Iterable[Table], name: str, missing: Sequence[str] = MISSING
) -> list[str | None]:
    """Return the values of a column of all tables as texts, None where one is missing.

    Raises UserError for a table without the column, or with lists or images in it.
    """
    values: list[str | None] = []
    for table in tables:
        if name not in table.columns.column_names:
            raise UserError(
                f"{table.path} has no column {name!r}, which train has\n"
                "give every part the same columns"
            )
        column = table.columns[name]
        try:
            texts = pc.cast(column, pa.string())
        except pa.ArrowException as error:
            raise UserError(
                f"{table.path} has {column.type} in the column {name!r}, not numbers or "
                "categories\nleave the column out"
            ) from error
        found = texts if pa.types.is_binary(column.type) else column
        values += [to_text(value, missing) for value in found.to_pylist()]
    return values


def to_text(value: object, missing: Sequence[str] = MISSING) -> str | None:
    """Return a value of a table or of a row to predict as text, None where it is missing."""
    text = "" if value is None else str(value).strip()
    return None if text.lower() in missing else text


def to_numbers(values: Sequence[str | None]) -> Values | None:
    """Return values as float64, NaN where one is missing; None where one is no finite number."""
    try:
        numbers = np.array([np.nan if value is None else float(value) for value in values])
    except ValueError:
        return None
    return None if np.isinf(numbers).any() else numbers


def find_no_number(values: Sequence[str | None]) -> tuple[int, str]:
    """Return the first value that is no finite number, and its index; there is one."""
    present = ((row, value) for row, value in enumerate(values) if value is not None)
    return next((row, value) for row, value in present if to_numbers([value]) is None)


def to_arrow(values: list[str | None], name: str, is_number: bool, part: str) -> pa.Array:
    """Return the values of a column of a part as Arrow stores them; raises UserError."""
    if not is_number:
        return pa.array(values, pa.string())
    numbers = to_numbers(values)
    if numbers is None:
        _, wrong = find_no_number(values)
        raise UserError(
            f"{part} has {wrong!r:.80} in the column {name!r}, which has numbers in train\n"
            "correct the value, or leave it empty"
        )
    return pa.array(numbers)


def is_regression(
    values: Sequence[str | None], name: str, kind: TargetKind, known: TableColumns | None = None
) -> bool:
    """Return whether a target is a number to estimate, and no class.

    Left to "auto", it is one where its values are fractions, or more than 20 different whole
    numbers. Raises UserError for a regression on something else than numbers.
    """
    if kind == "classification" or (known is not None and not known.is_regression):
        return False
    numbers = to_numbers(values)
    if numbers is None:
        _, wrong = find_no_number(values)
        if known is not None:
            raise UserError(
                f"the model estimates numbers, and the target {name!r} has the value {wrong!r:.80}"
                "\ncorrect the value, or leave it empty"
            )
        if kind == "regression":
            raise UserError(
                f"kind=regression: the target {name!r} has the value {wrong!r:.80}, which is no "
                "finite number\nname another column with --set target=NAME"
            )
        if _are_mostly_numbers(values) and _has_numbers_to_estimate(values):
            raise UserError(
                f"most values of the target {name!r} are numbers, but {wrong!r:.80} is no finite "
                "number\nwrite numbers as 0.5 or 1e3, and leave a missing one empty; "
                "--set kind=classification takes every value as a class"
            )
        return False
    return kind == "regression" or known is not None or _has_numbers_to_estimate(values)


def _are_mostly_numbers(values: Iterable[str | None]) -> bool:
    plain = [PUNCTUATION.sub("", value) for value in values if value is not None]
    return 2 * sum(NUMBER.fullmatch(text) is not None for text in plain) >= len(plain)


def _has_numbers_to_estimate(values: Iterable[str | None]) -> bool:
    """Return whether those of the values that are numbers are fractions, or many."""
    plain = {PUNCTUATION.sub("", value) for value in values if value is not None}
    found = {float(text) for text in plain if NUMBER.fullmatch(text)}
    return len(found) > MOST_CLASSES or any(number % 1 != 0 for number in found)


def describe_columns(
    columns: Mapping[str, Sequence[str | None]], known: TableColumns | None = None
) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, str], dict[str, str]]:
    """Return which columns of train are numbers, which categories, and why others are neither.

    The last are those of the categories that have mostly numbers, and why they are none. `known`
    are the columns of a model, of which there are no others.
    """
    if known is not None:
        others = {name: "not of the model" for name in columns if name not in known.names}
        return known.numbers, known.categories, others, {}
    numbers, categories, ignored, mixed = [], [], {}, {}
    for name, values in columns.items():
        present = [value for value in values if value is not None]
        if name.strip().lower() in INDEXES:
            ignored[name] = "an index"
        elif len(set(present)) < 2:
            ignored[name] = "the same everywhere"
        elif to_numbers(values) is not None:
            numbers.append(name)
        elif len(set(present)) > max(UNIQUE * len(present), 10):
            ignored[name] = _explain_texts(values) or "different in every row"
        else:
            categories.append(name)
            if why := _explain_texts(values):
                mixed[name] = why
    return tuple(numbers), tuple(categories), ignored, mixed


def _explain_texts(values: Sequence[str | None]) -> str:
    """Return what keeps a column of mostly numbers from being one; nothing for other texts."""
    if not _are_mostly_numbers(values):
        return ""
    row, wrong = find_no_number(values)
    return (
        f"not read as numbers: row {row + 1} of train has {wrong!r:.80}. Write numbers as 0.5 or "
        "1e3, and leave a missing one empty"
    )


def tell_columns(
    path: Path,
    columns: TableColumns,
    classes: Sequence[str],
    ignored: Mapping[str, str],
    mixed: Mapping[str, str],
) -> list[str]:
    """Return the lines that tell how a table was read."""
    kind = (
        "a number" if columns.is_regression else f"{len(classes)} classes: {list_names(classes)}"
    )
    lines = [f"own_table: predict the column {columns.target!r} of {path}, {kind}"]
    for what in ("numbers", "categories"):
        if names := getattr(columns, what):
            lines.append(f"{what}: {list_names(names)}")
    told = {"columns left out": ignored, "categories with mostly numbers": mixed}
    for what, reasons in told.items():
        if reasons:
            lines.append(f"{what}: {list_names([f'{n!r} ({why})' for n, why in reasons.items()])}")
    return lines


def encode_targets(
    texts: Mapping[str, Sequence[str]], is_regression: bool, in_any_part: bool = False
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """Return the classes of train, none of a regression, and the targets of each part.

    Raises UserError for a class that is not in train, unless they may be `in_any_part`.
    """
    if is_regression:
        return (), {part: np.array(list(map(float, of))) for part, of in texts.items()}
    # 1 and 1.0 are one class, as pandas writes whole numbers beside missing values.
    plain = {part: [_shorten(text) for text in of] for part, of in texts.items()}
    trained = plain if in_any_part else {"train": plain["train"]}
    classes = sort_classes([text for of in trained.values() for text in of])
    others = {part: sort_classes(found) for part, found in plain.items()}
    check_known_classes("own_table", classes, others)
    numbers = {name: number for number, name in enumerate(classes)}
    return classes, {p: np.array([numbers[t] for t in of]) for p, of in plain.items()}


def _shorten(text: str) -> str:
    whole, _, rest = text.partition(".")
    return whole if rest and not rest.strip("0") and whole.lstrip("-").isdigit() else text


def to_strata(targets: np.ndarray, is_regression: bool) -> np.ndarray:
    """Return what a split is stratified by: the classes, or the quantiles of numbers."""
    if not is_regression:
        return targets
    edges = np.quantile(targets, np.linspace(0, 1, STRATA + 1)[1:-1])
    return np.searchsorted(edges, targets, side="right")
