"""Encode the columns of a table for a network: standardized numbers, and codes of categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from trainables.data.table_columns import MOST_LEVELS, TableColumns, to_numbers, to_text
from trainables.errors import UserError


@dataclass(frozen=True)
class Encoding:
    """What encodes a row, computed from train.

    `means` and `deviations` belong to the numbers, `levels` to each column of categories, the
    most frequent first; code 0 is a missing value or any other. `target_mean` and
    `target_deviation` are those of a regression's target, `classes` the names of a target's
    classes, and `target` is its column, empty in models of earlier versions.
    """

    numbers: tuple[str, ...]
    categories: tuple[str, ...]
    means: tuple[float, ...]
    deviations: tuple[float, ...]
    levels: tuple[tuple[str, ...], ...]
    classes: tuple[str, ...] = ()
    target_mean: float = 0.0
    target_deviation: float = 1.0
    target: str = ""

    @property
    def is_regression(self) -> bool:
        """Return whether the target is a number."""
        return not self.classes

    @property
    def width(self) -> int:
        """Return how many numbers encode a row: each value, and whether it is missing."""
        return 2 * len(self.numbers)

    def encode(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return numbers (n, width) float32 and codes (n, categories) int64 of rows (n, columns).

        A row has the values of `numbers`, then of `categories`, as numbers or texts; None, NaN and
        the usual words for it are missing values. A missing number is the mean. Raises UserError
        for rows of another length, and for a text where a number belongs.
        """
        count = len(self.numbers) + len(self.categories)
        if rows.ndim != 2 or rows.shape[1] != count:
            raise UserError(
                f"rows of shape {rows.shape}: the model takes (n, {count}), the columns "
                f"{', '.join(self.numbers + self.categories)}"
            )
        columns = [[to_text(value) for value in column] for column in rows.T]
        values = np.zeros((len(rows), len(self.numbers)))
        for index, name in enumerate(self.numbers):
            found = to_numbers(columns[index])
            if found is None:
                raise UserError(f"the column {name!r} has a value that is no finite number")
            values[:, index] = found
        is_missing = np.isnan(values)
        standardized = (values - np.array(self.means)) / np.array(self.deviations)
        numbers = np.concatenate([np.where(is_missing, 0, standardized), is_missing], axis=1)
        codes = np.zeros((len(rows), len(self.categories)), np.int64)
        for index, levels in enumerate(self.levels):
            of = {level: code for code, level in enumerate(levels, 1)}
            column = columns[len(self.numbers) + index]
            codes[:, index] = [of.get(value, 0) if value else 0 for value in column]
        return numbers.astype(np.float32), codes

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)


def fit_encoding(
    columns: TableColumns, rows: np.ndarray, targets: np.ndarray, classes: Sequence[str]
) -> Encoding:
    """Return the encoding of the rows (n, columns) and targets (n,) of train."""
    count = len(columns.numbers)
    values = rows[:, :count].astype(np.float64)
    known = ~np.isnan(values)
    totals = np.maximum(known.sum(0), 1)
    means = np.where(known, values, 0).sum(0) / totals
    deviations = np.sqrt((np.where(known, values - means, 0) ** 2).sum(0) / totals)
    levels = []
    for column in rows[:, count:].T:
        found = Counter(value for value in column if value is not None)
        common = sorted(found.items(), key=lambda item: (-item[1], item[0]))
        levels.append(tuple(level for level, _ in common[:MOST_LEVELS]))
    spread = 1.0 if classes else float(targets.std())
    return Encoding(
        columns.numbers,
        columns.categories,
        tuple(means.tolist()),
        tuple(np.where(deviations > 0, deviations, 1).tolist()),
        tuple(levels),
        tuple(classes),
        0.0 if classes else float(targets.mean()),
        spread or 1.0,
        columns.target,
    )


def read_encoding(saved: Mapping[str, Any]) -> Encoding:
    """Return the encoding that `to_json` has written."""
    fields: dict[str, Any] = {
        n: tuple(v) if isinstance(v, list | tuple) else v for n, v in saved.items()
    }
    fields["levels"] = tuple(tuple(levels) for levels in fields["levels"])
    return Encoding(**fields)
