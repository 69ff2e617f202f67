"""Tables and numbers as text."""

import pytest

from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_score,
    format_value,
    is_proportion,
    is_share,
    join_words,
    to_fraction,
    to_markdown,
)


def test_markdown_escapes_bars_and_line_breaks() -> None:
    table = Table(("a", "b"), (("x | y", "two\nlines"),), "lr")
    assert to_markdown(table) == "| a | b |\n| :--- | ---: |\n| x \\| y | two lines |"


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("validation_accuracy", True),
        ("test accuracy, %", True),
        ("validation_exact_match", True),
        ("accuracy_loss", False),
        ("validation_return", False),
        ("match", False),
    ],
)
def test_shares_are_recognized_by_their_names(metric: str, expected: bool) -> None:
    assert is_share(metric) is expected


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        ("validation_accuracy", True),
        ("top5_accuracy", True),
        ("balanced_accuracy", False),
        ("mean_class_accuracy", False),
        ("loss", False),
    ],
)
def test_only_a_share_of_equal_examples_is_binomial(metric: str, expected: bool) -> None:
    assert is_proportion(metric) is expected


def test_an_accuracy_in_per_cent_is_the_same_as_a_fraction() -> None:
    assert to_fraction(86.16, "test accuracy, %") == pytest.approx(0.8616)
    assert to_fraction(0.8616, "test_accuracy") == 0.8616
    assert to_fraction(475.0, "mean_return") == 475


def test_a_ragged_table_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"have \[1, 2\] columns"):
        Table(("a", "b"), (("1",),), "lr")
    with pytest.raises(ValueError, match="'x'"):
        Table(("a",), (), "x")


def test_empty_columns_are_dropped() -> None:
    table = Table(("a", "b", "c"), (("1", "", "2"), ("3", "", "")), "lcr")
    assert drop_empty_columns(table) == Table(("a", "c"), (("1", "2"), ("3", "")), "lr")


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("0.012345", "0.0123"),
        ("1.234e-05", "1.23e-05"),
        ("64", "64"),
        ("1000000", "1000000"),
        ("adamw", "adamw"),
        ("True", "True"),
        ("", ""),
        ("0.5", "0.5"),
    ],
)
def test_hyperparameters(stored: str, shown: str) -> None:
    assert format_value(stored) == shown


def test_scores_and_lists() -> None:
    assert format_score(0.97612, "validation_accuracy") == "97.61 %"
    assert format_score(97.6, "test_accuracy") == "97.60 %"
    assert format_score(0.123456, "validation_loss") == "0.1235"
    assert format_score(None, "validation_loss") == ""
    assert [join_words(list(parts)) for parts in ("", "a", "ab", "abc")] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]
