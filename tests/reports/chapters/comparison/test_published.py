"""Published results are in their rows, in our unit, and rankings are compared."""

from typing import Any

import pytest

from reports.chapters.comparison import pairs
from reports.chapters.comparison.chapter import write_section
from reports.chapters.comparison.groups import group_trials
from reports.chapters.comparison.published import describe_ranking, find_column
from reports.chapters.comparison.published import write_section as left_over
from reports.read.opened_test import OpenedTest
from reports.read.winner import choose_winner
from tests.support.comparison import ALIKE, APART, BATCHES, cells, entries, with_published


def test_results_are_in_their_rows() -> None:
    found = write_section(None, with_published(APART, entries(BATCHES)))  # type: ignore[arg-type]
    assert found is not None
    table = cells(found.text)
    at = table["batch_size"].index("published (test accuracy)")
    assert {size: table[f"{size}"][at] for size in BATCHES} == {
        16: "86.78 %",
        32: "87.11 %",
        64: "87.56 %",
        512: "85.14 %",
    }
    assert "hollow diamonds are published results" in found.text


def test_rankings_are_compared() -> None:
    # Here: 64 > 32 > 16 by their means, all within chance, and 512 far below.
    search = with_published(APART, entries({**BATCHES, 16: 87.9, 512: 40.0}))
    rows = group_trials(search)
    theirs = find_column(search, rows)
    assert theirs is not None
    order = sorted(rows, key=lambda g: -g.mean)
    text = describe_ranking(search, theirs, pairs.compare_by_seeds(order, "max")) or ""
    assert "of 6 pairs of rows with different published results" in text
    assert "4 are in the same order here (3 of these significantly), 2 are reversed" in text
    assert "No reversal is significant (here " in text
    assert "3 published differences of 6 are below the resolution" in text


def test_a_significant_reversal_is_named() -> None:
    search = with_published({k: APART[k] for k in (16, 512)}, entries({16: 80.0, 512: 90.0}))
    rows = group_trials(search)
    theirs = find_column(search, rows)
    assert theirs is not None
    text = describe_ranking(search, theirs, pairs.compare_by_seeds(rows, "max")) or ""
    assert "of the one pair" in text
    assert "Significantly reversed: 16 over 512 by +36.50 points" in text
    assert "published -10.00 points" in text
    assert "No published difference is below the resolution" in text


def test_one_column_holds_one_metric() -> None:
    both = (
        *entries({16: 0.99, 32: 0.98}, "train_accuracy"),
        *entries({16: 0.85, 32: 0.86}, "validation_accuracy"),
    )
    search = with_published(ALIKE, both)
    theirs = find_column(search, group_trials(search))
    assert theirs is not None
    assert theirs.metric == "validation_accuracy"
    assert theirs.values == {("16",): (0.85,), ("32",): (0.86,)}
    choice = choose_winner(search)
    assert choice is not None
    rest = left_over(search, choice, OpenedTest(None, search), theirs) or ""
    assert "99.00 %" in rest
    assert "85.00 %" not in rest


def test_without_other_results_there_is_no_chapter() -> None:
    search = with_published(ALIKE, entries({16: 86.78, 32: 87.11}))
    choice = choose_winner(search)
    assert choice is not None
    assert (
        left_over(
            search, choice, OpenedTest(None, search), find_column(search, group_trials(search))
        )
        is None
    )
    loose = ({"setting": "course", "value": 93.0, "metric": "test accuracy, %"},)
    assert find_column(with_published(ALIKE, loose), group_trials(search)) is None
    text = left_over(with_published(ALIKE, loose), choice, OpenedTest(None, search), None) or ""
    assert cells(text)["course"] == ["course", "test accuracy", "93.00 %", ""]


@pytest.mark.parametrize("value", [float("nan"), "high", None])
def test_a_result_that_is_not_a_number_is_in_no_row(value: Any) -> None:
    entry = {"setting": "x", "value": value, "metric": "test accuracy, %", "note": ""}
    search = with_published(
        ALIKE, ({**entry, "of": {"batch_size": 16}}, {**entry, "value": 1.0, "of": [1]})
    )
    assert find_column(search, group_trials(search)) is None


def test_synthetic_data_are_not_compared_with_published_results() -> None:
    found = write_section(
        None,  # type: ignore[arg-type]
        with_published(ALIKE, entries(BATCHES), source="synthetic"),
    )
    assert found is not None
    assert "published" not in found.text


def test_the_users_own_data_are_not_compared_with_published_results() -> None:
    search = with_published(ALIKE, entries(BATCHES), own_data="yes")
    found = write_section(None, search)  # type: ignore[arg-type]
    assert found is not None
    assert "published" not in found.text
    choice = choose_winner(search)
    assert choice is not None
    text = left_over(search, choice, OpenedTest(None, search), None)  # type: ignore[arg-type]
    assert text == (
        "Not available: the data have other classes than those of the published results."
    )
