"""The winner against the others on the test set: corrected, in order, and told as it is found."""

import ast
import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reports
from reports.chapters.confirmation import chapter, significance
from reports.chapters.confirmation.significance import (
    compare_winner,
    describe_tests,
    judge_default,
)
from reports.numbers.seeds import (
    SeedVariance,
    accuracy_over_seeds,
    compare_selected,
    probability_better,
)
from reports.read.opened_test import OpenedTest
from reports.records import Search
from reports.write.intervals import format_probability
from tests.support.make_search import make_search, make_trial

N, SEEDS = 400, 3
DEFAULT = 0


def confirm(order: list[int], lost: int | None = None) -> Search:
    """Return a search that re-ran these trials, the best on validation first."""
    tags = {DEFAULT: {"default": "yes"}}
    trials = [make_trial(n, 0.9, params={"width": n}, tags=tags.get(n, {})) for n in range(4)]
    runs = [
        dataclasses.replace(
            make_trial(10 * of + seed, 0.9 - place / 100, params={"seed": seed}), of=of
        )
        for place, of in enumerate(order)
        for seed in range(SEEDS)
    ]
    if lost is not None:
        gone = make_trial(99, None, outcome="diverged", params={"seed": 99})
        runs.append(dataclasses.replace(gone, of=lost))
    return dataclasses.replace(make_search(*trials), reruns=tuple(runs))


def answer(wrong: Mapping[int, int]) -> dict[int, np.ndarray]:
    """Return which examples are right, (seeds, n): so many wrong, the first seed two more."""
    found = {}
    for of, count in wrong.items():
        right = np.ones((SEEDS, N), dtype=bool)
        right[:, :count] = False
        right[0, -2:] = False
        found[of] = right
    return found


def open_right(search: Search, right: Mapping[int, np.ndarray]) -> OpenedTest:
    nowhere: Any = None
    return OpenedTest(nowhere, search, reruns=right)


def draw(order: list[int]) -> dict[int, np.ndarray]:
    """Return which examples are right, (seeds, n), of runs whose seeds differ; trial 3 leads."""
    random = np.random.default_rng(0)
    return {
        of: random.random((SEEDS, N)) < 0.9 - 0.1 * (of != 3) + random.normal(0, 0.02, (SEEDS, 1))
        for of in order
    }


def test_every_configuration_that_could_have_won_is_corrected_for() -> None:
    right, search = draw([3, 1, 0]), confirm([3, 1, 2, 0])  # trial 2 stays closed
    first = compare_winner(search, open_right(search, right))[0]
    alone, corrected = (compare_selected(right[3], right[0], of) for of in (1, 3))
    assert first.of == DEFAULT
    assert first.p == corrected.p > alone.p
    assert first.difference.interval == corrected.interval
    better = [
        format_probability(probability_better(right[3], right[0], level))
        for level in (1 - 0.05 / 3, 0.95)
    ]
    text = chapter.write_section(search, open_right(search, right)) or ""
    assert [cell in text for cell in better] == [True, False]


def test_the_interval_of_a_mean_knows_all_that_was_confirmed_and_opened() -> None:
    right, search = draw([3, 1, 0]), confirm([3, 1, 2, 0])
    opened, differ = open_right(search, right), 0
    for of, runs in right.items():
        others = [more for other, more in right.items() if other != of]
        found = opened.find_mean(of)
        assert found == accuracy_over_seeds(runs, 4, others)
        assert found != accuracy_over_seeds(runs, 1, others)
        differ += found != accuracy_over_seeds(runs, 4)
    assert differ > 0


def test_the_default_is_tested_first_and_a_p_value_is_the_largest_up_to_there() -> None:
    search = confirm([3, 1, 0])
    found = compare_winner(search, open_right(search, answer({3: 10, 1: 60, 0: 11})))
    assert [c.of for c in found] == [DEFAULT, 1]
    assert not found[0].is_significant
    assert found[1].p == found[0].p, "nothing is significant after a test that is not"
    found = compare_winner(search, open_right(search, answer({3: 10, 1: 11, 0: 60})))
    assert [(c.of, c.is_significant) for c in found] == [(DEFAULT, True), (1, False)]


@pytest.mark.parametrize(("lost", "compared"), [(None, [0, 1]), (0, [1]), (3, [])])
def test_a_configuration_that_lost_a_seed_is_not_tested(
    lost: int | None, compared: list[int]
) -> None:
    search = confirm([3, 1, 0])
    if lost is not None:  # the lost seed has the worst score, which is that of the others
        search = confirm([3, 1, 0], lost)
    found = compare_winner(search, open_right(search, answer({3: 10, 1: 60, 0: 60})))
    assert [c.of for c in found] == compared


@pytest.mark.parametrize(
    ("order", "wrong", "begins", "recommended"),
    [
        ([3, 0], {3: 10, 0: 60}, "**The winner beats the default configuration (trial 0)**", 0),
        ([3, 0], {3: 60, 0: 10}, "**The winner is worse than the default configuration", 1),
        ([3, 0], {3: 10, 0: 11}, "**The default configuration (trial 0) is as good as", 1),
        ([0, 3], {3: 10, 0: 60}, "**The winner is the default configuration (trial 0)**", 1),
        ([3, 0], {}, "Whether the winner is better than the default", 0),
        ([3, 1], {3: 10, 1: 60}, "", 0),
    ],
)
def test_the_verdict_on_the_default_is_that_of_the_test(
    order: list[int], wrong: dict[int, int], begins: str, recommended: int
) -> None:
    search = confirm(order)
    opened = open_right(search, answer(wrong))
    text = judge_default(search, opened)
    assert text.startswith(begins)
    assert bool(text) == bool(begins)
    assert text.count("recommended") == recommended
    for word in ("beats", "worse"):
        assert (word in text) == (word in begins)


def test_two_seeds_of_two_configurations_have_no_verdict() -> None:
    search = confirm([3, 0])
    few = dataclasses.replace(
        search, reruns=tuple(run for run in search.reruns if run.params["seed"] != "2")
    )
    opened = open_right(few, {of: runs[:2] for of, runs in answer({3: 10, 0: 60}).items()})
    assert compare_winner(few, opened) == []
    why = "4 runs of 2 configurations are too few for a test"
    assert judge_default(few, opened).startswith("Whether the winner is better than the default")
    assert f"{why}; 3 seeds of each are enough. The default is recommended." in judge_default(
        few, opened
    )
    assert why in describe_tests(few, opened)[0]


def test_seeds_vary_as_those_of_all_configurations() -> None:
    search, right = confirm([3, 0]), draw([3, 0])
    opened = dataclasses.replace(open_right(search, right), seed_variance=SeedVariance(0.04, 8))
    (found,) = compare_winner(search, opened)
    assert found.difference == compare_selected(right[3], right[0], 1, opened.seed_variance)
    assert not found.is_significant
    assert compare_winner(search, open_right(search, right))[0].is_significant


def test_without_the_test_set_differences_are_described_and_not_judged() -> None:
    search = confirm([3, 1, 0])
    (text,) = describe_tests(search, open_right(search, {}))
    assert text.startswith("**No verdict**")
    assert "- against trial 0, the default: +2.00 points on validation" in text
    assert "ignificant" not in text


CLAIMS = r"\b(beats?|outperforms?|superior|surely|certainly|clearly|reliably|proves?)\b"


def list_sentences(file: Path) -> list[str]:
    """Return the texts in a module that are no docstrings."""
    tree = ast.parse(file.read_text())
    documented = {
        id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)
    }  # a text that is a statement of its own
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documented
    ]


def test_no_other_sentence_of_a_report_claims_that_one_is_better() -> None:
    claiming = {
        file.name: found
        for file in Path(reports.__path__[0]).rglob("*.py")
        if (found := [text for text in list_sentences(file) if re.search(CLAIMS, text)])
    }
    assert list(claiming) == [Path(significance.__file__).name], claiming
