"""Published orders without numbers are beside the order found here."""

import dataclasses
from typing import Any

import pytest

from reports.chapters.comparison import pairs
from reports.chapters.comparison.chapter import write_section
from reports.chapters.comparison.groups import group_trials
from reports.chapters.comparison.orders import describe_orders
from reports.chapters.comparison.published import write_section as left_over
from reports.read.opened_test import OpenedTest
from reports.read.winner import choose_winner
from tests.support.comparison import APART, cells, entries, with_published
from tests.support.make_search import make_search, make_trial


def order(better: int, worse: int) -> dict[str, Any]:
    return {"better": {"batch_size": better}, "worse": {"batch_size": worse}, "note": ""}


@pytest.mark.parametrize(
    ("better", "worse", "here"),
    [
        (16, 512, "the same, significant"),
        (512, 16, "reversed, significant"),
        (64, 16, "the same, not significant"),
        (16, 64, "reversed, not significant"),
        (16, 1024, "not compared"),
    ],
)
def test_an_order_is_the_same_or_reversed_and_significant_or_not(
    better: int, worse: int, here: str
) -> None:
    search = with_published(APART, (order(better, worse),))
    ranked = sorted(group_trials(search), key=lambda g: -g.mean)
    text = describe_orders(search, pairs.compare_by_seeds(ranked, "max")) or ""
    row = cells(text)[f"batch_size {better} over batch_size {worse}"]
    assert row[1] == here
    assert ("p" in "".join(row[2:])) == (here != "not compared")


def test_an_order_is_compared_at_every_value_that_it_does_not_name() -> None:
    scores = {(16, "adam"): 0.9, (32, "adam"): 0.8, (16, "sgd"): 0.5, (32, "sgd"): 0.6}
    runs = [(key, seed) for key in scores for seed in range(3)]
    trials = [
        make_trial(
            number,
            scores[key] + 0.001 * seed,
            params={"batch_size": key[0], "optimizer": key[1], "seed": seed},
        )
        for number, (key, seed) in enumerate(runs)
    ]
    search = dataclasses.replace(
        make_search(*trials, compare=("batch_size", "optimizer")), published=(order(16, 32),)
    )
    ranked = sorted(group_trials(search), key=lambda g: -g.mean)
    text = describe_orders(search, pairs.compare_by_seeds(ranked, "max")) or ""
    rows = [line for line in text.splitlines() if line.startswith("| batch_size 16")]
    assert len(rows) == 2
    assert "optimizer adam | the same, significant" in rows[0]
    assert "optimizer sgd | reversed, significant" in rows[1]


def test_orders_are_in_the_comparison_and_not_among_the_numbers() -> None:
    published = (order(16, 512), *entries({16: 86.78}))
    search = with_published(APART, published)
    found = write_section(None, search)  # type: ignore[arg-type]
    assert found is not None
    assert "| batch_size 16 over batch_size 512 | the same, significant |" in found.text
    choice = choose_winner(search)
    assert choice is not None
    numbers = left_over(search, choice, OpenedTest(None, search), None)  # type: ignore[arg-type]
    assert numbers is not None
    assert "86.78 %" in numbers
    assert len(cells(numbers)) == 4  # header, rule, the number and ours
