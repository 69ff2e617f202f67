"""Columns of texts, labels and groups: found, named, and not clear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from trainables.data.text_columns import (
    Columns,
    find_columns,
    read_groups,
    read_labels,
    read_texts,
    sort_classes,
)
from trainables.data.text_tables import Table
from trainables.errors import UserError

PROSE = [f"a film that is number {i}" for i in range(12)]
FEW = ["pos", "neg", "neg"] * 4
SINGLE = [f"n{i}" for i in range(12)]


def _table(has_header: bool = False, **columns: Any) -> Table:
    return Table(Path("reviews.csv"), pa.table(columns), {}, (), has_header)


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        ({"text": PROSE, "label": FEW}, ("text", "label")),
        ({"id": range(12), "review": PROSE, "stars": FEW}, ("review", "stars")),
        ({"Text": SINGLE, "comment": PROSE, "Label": FEW}, ("Text", "Label")),
        ({"verdict": FEW, "said": PROSE, "uuid": SINGLE}, ("said", "verdict")),
        ({"name": SINGLE, "class": FEW}, ("name", "class")),
        ({"sentence": PROSE, "label": [0, 1] * 6, "label_text": FEW}, ("sentence", "label")),
        ({"評論": ["這部電影非常好看真的很好看"] * 12, "評価": FEW}, ("評論", "評価")),
        (
            {"tokens": [["a"]] * 12, "image": [b"\xff"] * 12, "body": PROSE, "z": FEW},
            ("body", "z"),
        ),
        ({"url": ["https://example.org/a/b/c"] * 12, "body": PROSE, "y": FEW}, ("body", "y")),
    ],
)
def test_columns_are_found(columns: dict[str, Any], found: tuple[str, str]) -> None:
    table = _table(**{name: list(values) for name, values in columns.items()})
    columns_found = find_columns(table, Columns())
    assert (columns_found.text, columns_found.label) == found


@pytest.mark.parametrize(
    ("columns", "named", "said"),
    [
        (
            {"title": PROSE, "body": PROSE, "label": FEW},
            {},
            r"\(title, body\).*\n.*title, body, label\n.*text_column",
        ),
        (
            {"text": PROSE, "class": FEW, "target": FEW},
            {},
            "does not tell its labels\n.*\n.*label_column",
        ),
        ({"text": PROSE}, {}, "does not tell its labels"),
        ({"a": [1] * 12, "label": FEW}, {}, "none of them may be the texts"),
        (
            {"text": PROSE, "label": FEW},
            {"text": "review"},
            "has no column 'review'\n.*text, label\n",
        ),
        ({"text": PROSE, "label": FEW}, {"group": "who"}, "has no column 'who'"),
    ],
)
def test_columns_that_are_not_clear(
    columns: dict[str, Any], named: dict[str, str], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        find_columns(_table(**columns), Columns(**named))


def test_named_columns_are_taken() -> None:
    table = _table(title=PROSE, body=PROSE, label=FEW, mood=FEW, who=FEW)
    named = Columns("title", "mood", "who")
    assert find_columns(table, named) == named
    assert find_columns(table, Columns(text="body")) == Columns("body", "label")
    assert read_groups(table, named) == FEW
    assert read_groups(table, Columns()) == [""] * 12


def test_a_missing_line_of_names_is_noticed() -> None:
    table = _table(has_header=True, **{"a film that is bad": PROSE, "pos": FEW})
    with pytest.raises(UserError, match="seems to have data in its first line"):
        find_columns(table, Columns())
    two = Table(Path("a.csv"), pa.Table.from_arrays([PROSE, FEW], names=["x", "x"]), {}, ())
    with pytest.raises(UserError, match="two columns x"):
        find_columns(two, Columns())


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([" pos", "neg ", "", None], ["pos", "neg", None, None]),
        ([3, 1, None], ["3", "1", None]),
        ([1.0, 0.0, None, float("nan")], ["1", "0", None, None]),
        (["1.0", "10.0", ""], ["1", "10", None]),
        (["1.5", "2"], ["1.5", "2"]),
        ([True, False], ["true", "false"]),
        ([None, None], [None, None]),
        (pa.array(["a", "b", "a"]).dictionary_encode(), ["a", "b", "a"]),
    ],
)
def test_labels_are_names(values: Any, labels: list[str | None]) -> None:
    table = _table(text=PROSE[: len(labels)], label=values)
    assert read_labels(table, Columns("text", "label"), ()) == labels


def test_integers_number_the_names_of_the_file() -> None:
    table = _table(text=PROSE[:4], label=[1, 0, 2, None])
    assert read_labels(table, Columns("text", "label"), ("no", "yes")) == ["yes", "no", None, None]


def test_columns_of_another_type_are_named() -> None:
    table = _table(text=[1, 2], label=[["a"], ["b"]])
    with pytest.raises(UserError, match="int64 in the column 'text', not texts"):
        read_texts(table, Columns("text", "label"))
    with pytest.raises(UserError, match="in the column 'label', not labels"):
        read_labels(table, Columns("text", "label"), ())


def test_classes_are_sorted_by_their_value_if_they_are_numbers() -> None:
    assert sort_classes(["10", "2", "-1", "2"]) == ("-1", "2", "10")
    assert sort_classes(["10", "2", "x"]) == ("10", "2", "x")


def test_a_column_of_lists_holds_no_groups() -> None:
    table = _table(text=PROSE, label=FEW, author=[["a"]] * 12)
    with pytest.raises(UserError, match="has list<item: string> in the column 'author'"):
        read_groups(table, Columns("text", "label", "author"))
