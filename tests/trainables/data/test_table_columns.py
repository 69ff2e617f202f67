from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from trainables.data.table_columns import (
    EMPTY,
    TableColumns,
    describe_columns,
    find_target,
    is_regression,
    read_column,
    tell_columns,
    to_numbers,
    to_text,
)
from trainables.data.text_tables import Table
from trainables.errors import UserError


def table(**columns: object) -> Table:
    return Table(Path("t.csv"), pa.table(columns), {}, ())


@pytest.mark.parametrize(
    ("names", "named", "target"),
    [
        ("a b c", "", "c"),
        ("a Target c", "", "Target"),
        ("y b label", "", "label"),  # not clear, so the last one
        ("a y c", "a", "a"),
    ],
)
def test_the_target_is_named_or_usual_or_last(names: str, named: str, target: str) -> None:
    assert find_target(table(**{name: [1] for name in names.split()}), named) == target


def test_an_unknown_target_is_told_with_the_columns() -> None:
    with pytest.raises(UserError, match=r"no column 'z'\nits columns are a, b"):
        find_target(table(a=[1], b=[2]), "z")


def test_values_are_texts_and_missing_ones_none() -> None:
    tables = [table(a=["1", " n/a", ""]), table(a=["NaN", "None", " x "])]
    assert read_column(tables, "a") == ["1", None, None, None, None, "x"]
    assert read_column([table(a=[1.5, None])], "a") == ["1.5", None]
    assert read_column([table(a=["none", "", "NaN"])], "a", EMPTY) == ["none", None, None]
    with pytest.raises(UserError, match="no column 'b'"):
        read_column(tables, "b")
    with pytest.raises(UserError, match="list"):
        read_column([table(a=[[1], [2]])], "a")


@pytest.mark.parametrize(
    "values", [[True, False], [datetime(2026, 1, 2), datetime(2026, 1, 2, 3)], ["a", "b"]]
)
def test_a_value_is_the_same_text_in_training_and_at_prediction(values: list[object]) -> None:
    assert read_column([table(a=values)], "a") == [to_text(value) for value in values]


def test_numbers_are_finite() -> None:
    numbers = to_numbers(["1e3", None, "-2"])
    assert numbers is not None
    assert np.array_equal(numbers, [1000, np.nan, -2], equal_nan=True)
    assert to_numbers(["1", "x"]) is None
    assert to_numbers(["1", "inf"]) is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["0", "1", None], False),
        (["0.5", "1"], True),
        ([str(n) for n in range(21)], True),
        ([f"{n}.0" for n in range(20)], False),
        (["low", "high"], False),
    ],
)
def test_the_kind_of_a_target_is_told_by_its_values(
    values: list[str | None], expected: bool
) -> None:
    assert is_regression(values, "y", "auto") is expected
    assert not is_regression(values, "y", "classification")


def test_a_regression_on_texts_is_refused() -> None:
    assert is_regression(["1", "2"], "y", "regression")
    with pytest.raises(UserError, match="'y' has the value 'low'"):
        is_regression(["1", "low"], "y", "regression")


@pytest.mark.parametrize(
    ("wrong", "others"),
    [
        ("inf", ["1", "2"]),
        ("unknown", ["0.5", "1.5"]),
        ("12 %", [str(n) for n in range(21)]),
        ("0,0", [f"0,{n}" for n in range(1, 22)]),
    ],
)
def test_a_value_that_would_make_classes_of_a_number_is_refused(
    wrong: str, others: list[str]
) -> None:
    values = [wrong, None, *others, *others]
    with pytest.raises(UserError, match=f"(?s)target 'y' are numbers, but '{wrong}'.*kind=class"):
        is_regression(values, "y", "auto")
    assert not is_regression(values, "y", "classification")


def test_classes_may_be_whole_numbers_beside_texts() -> None:
    assert not is_regression(["0", "1", "2", "3+"] * 5, "y", "auto")
    assert not is_regression(["0.5", "low", "high"], "y", "auto")


def test_columns_are_numbers_categories_or_left_out() -> None:
    rows = 40
    numbers, categories, ignored, mixed = describe_columns(
        {
            "age": [str(n) for n in range(rows)],
            "color": ["red", None, "blue", "red"] * (rows // 4),
            "name": [f"person {n}" for n in range(rows)],
            "constant": ["1", None] * (rows // 2),
            "id": [str(n) for n in range(rows)],
        }
    )
    assert (numbers, categories) == (("age",), ("color",))
    assert ignored.keys() == {"name", "constant", "id"}
    assert not mixed


@pytest.mark.parametrize("wrong", ["inf", "0,134", "1,234.5", "12 %", "unknown"])
def test_the_value_that_keeps_a_column_from_being_numbers_is_named(wrong: str) -> None:
    values = [None, *(f"{n}.5" for n in range(40))]
    values[7] = wrong
    _, _, ignored, _ = describe_columns({"u": values})
    assert ignored["u"].startswith(f"not read as numbers: row 8 of train has {wrong!r}. Write")


@pytest.mark.parametrize("wrong", ["inf", "0,5", "12 %", "unknown"])
def test_categories_with_mostly_numbers_are_told_with_the_value(wrong: str) -> None:
    values = ["1", "2", None, "3"] * 10
    values[7] = wrong
    columns = {"rooms": values, "size": ["1", "L", "M", "S"] * 10}
    _, categories, _, mixed = describe_columns(columns)
    assert categories == ("rooms", "size")
    assert mixed.keys() == {"rooms"}
    found = TableColumns("y", False, (), categories)
    lines = tell_columns(Path("t.csv"), found, ("a", "b"), {}, mixed)
    assert f"'rooms' (not read as numbers: row 8 of train has {wrong!r}. Write" in lines[-1]


def test_numbers_with_decimal_commas_are_told_from_names_and_dates() -> None:
    _, _, ignored, _ = describe_columns(
        {
            "comma": [f"0,{n}" for n in range(100, 140)],
            "name": [f"person {n}" for n in range(40)],
            "day": [f"2026-01-{n}" for n in range(40)],
        }
    )
    assert "row 1 of train has '0,100'" in ignored.pop("comma")
    assert ignored == dict.fromkeys(("name", "day"), "different in every row")
