"""Pairwise significance tests, with intervals and a summary."""

import dataclasses

import numpy as np
import pytest

from cluster.tuning.power import find_detectable
from reports.chapters.comparison import pairs
from reports.chapters.comparison.groups import (
    group_trials,
    is_repeated,
    is_same_value,
    name_group,
    sort_by_values,
)
from reports.numbers.means import compare_means
from tests.support.comparison import ALIKE, APART, repeated
from tests.support.make_search import make_search, make_trial


def test_every_pair_is_tested_and_corrected() -> None:
    groups = group_trials(repeated(APART))
    found = pairs.compare_by_seeds(groups, "max")
    assert len(found) == 6
    expected = compare_means([g.scores for g in groups])
    assert [pair.p for pair in found] == [comparison.p for comparison in expected]
    one = next(p for p in found if p.first.values == ("16",) and p.second.values == ("512",))
    assert one.gap.value == pytest.approx(0.87 - 0.505)
    assert one.gap.low < 0.365 < one.gap.high


HERE = "significantly on these validation examples**"


def test_the_text_names_significant_pairs() -> None:
    alike = repeated(ALIKE)
    text = pairs.describe_pairs(alike, pairs.compare_by_seeds(group_trials(alike), "max")) or ""
    assert text.startswith(f"**No pair of rows differs {HERE} (corrected for 3 pairs")
    assert "The median half-width of the 95 % intervals is " in text
    apart = repeated(APART)
    text = pairs.describe_pairs(apart, pairs.compare_by_seeds(group_trials(apart), "max")) or ""
    assert text.startswith(f"**3 of 6 pairs of rows differ {HERE}")
    assert "16 over 512 by +36.50 points (95 % interval +" in text
    two = repeated({k: APART[k] for k in (16, 512)})
    text = pairs.describe_pairs(two, pairs.compare_by_seeds(group_trials(two), "max")) or ""
    assert text.startswith(f"**16 and 512 differ {HERE}: 16 over 512 by ")


def test_in_min_mode_the_lower_one_is_first() -> None:
    lower = repeated({16: [0.1, 0.2, 0.15], 32: [2.0, 2.1, 2.2]}, "min", metric="loss")
    (found,) = pairs.compare_by_seeds(group_trials(lower), "min")
    assert found.gap.value == pytest.approx(2.1 - 0.15)
    assert 0 < found.gap.low < found.gap.high


def test_rows_without_variance_are_not_compared() -> None:
    still = group_trials(repeated({16: [0.5] * 3, 32: [0.5] * 3, 64: [0.6] * 3}))
    assert pairs.compare_by_seeds(still, "max") == []
    assert "the spread of the runs is unknown" in (pairs.explain_untested(still) or "")
    # As shares of 10 examples they have the variance of neighbouring scores, at least.
    found = pairs.compare_by_seeds(still, "max", step=0.1)
    assert [pair.is_significant for pair in found] == [False, False, False]


def test_two_seeds_of_two_rows_decide_nothing() -> None:
    # One of 359 examples, and both seeds of a row happen to agree.
    two = group_trials(repeated({16: [351 / 359] * 2, 32: [350 / 359] * 2}))
    assert pairs.compare_by_seeds(two, "max", step=1 / 359) == []
    assert pairs.explain_untested(two, 1 / 359) == (
        "4 runs in 2 rows are too few for a test: it needs 3 seeds per row"
    )


def test_a_lost_seed_counts_as_the_worst_score() -> None:
    made = repeated({16: [0.99, 0.98, 0.98], 32: [0.90, 0.91, 0.90]})
    trials = [
        dataclasses.replace(t, outcome="diverged", metrics={}) if t.number in (1, 2) else t
        for t in made.trials
    ]
    lucky, stable = group_trials(dataclasses.replace(made, trials=tuple(trials)))
    assert sorted(lucky.outcomes) == [0.90, 0.90, 0.99]
    assert lucky.mean == pytest.approx(0.93)
    assert not lucky.interval.is_known
    assert stable.interval.is_known
    # With one lost seed of three: 0.90, 0.98 and 0.99 against 0.90, 0.91 and 0.90.
    trials[1] = made.trials[1]
    both = group_trials(dataclasses.replace(made, trials=tuple(trials)))
    (found,) = pairs.compare_by_seeds(both, "max")
    assert found.gap.value == pytest.approx((0.99 + 0.98 - 0.91 - 0.90) / 3)
    assert not found.is_significant


def test_single_runs_are_paired_by_their_examples() -> None:
    right = np.arange(300)
    hits = {0: right > 8, 1: right > 12, 2: right > 60}
    kinds = ("a", "b", "c")
    trials = [make_trial(i, params={"kind": kind}) for i, kind in enumerate(kinds)]
    found = pairs.compare_by_examples(group_trials(make_search(*trials, compare=("kind",))), hits)
    assert [pair.is_significant for pair in found] == [False, True, True]
    assert found[1].gap.value == pytest.approx(52 / 300)
    # Five examples apart: mid-p is 0.031, which three comparisons do not make significant.
    hits = {0: right > 8, 1: right > 13, 2: right > 13}
    found = pairs.compare_by_examples(group_trials(make_search(*trials, compare=("kind",))), hits)
    assert [pair.uncorrected for pair in found] == pytest.approx([0.03125, 0.03125, 1.0])
    assert [pair.p for pair in found] == pytest.approx([0.09375, 0.09375, 1.0])
    assert not any(pair.is_significant for pair in found)


def test_rows_are_sorted_by_their_numbers() -> None:
    found = group_trials(repeated({64: [0.1], 8: [0.2], 512: [0.3]}))
    assert [g.values[0] for g in sort_by_values(found)] == ["8", "64", "512"]
    assert not is_repeated(found)
    twice = make_search(
        *(
            make_trial(i, params={"skip": skip, "blocks": blocks})
            for i, (skip, blocks) in enumerate([(True, 7), (False, 7), (True, 1)])
        ),
        compare=("blocks", "skip"),
    )
    names = [name_group(twice, g) for g in sort_by_values(group_trials(twice))]
    assert names == ["blocks=1, skip=True", "blocks=7, skip=True", "blocks=7, skip=False"]


@pytest.mark.parametrize(
    ("text", "value", "expected"),
    [
        ("0.0001", 1e-4, True),
        ("1e-04", 0.0001, True),
        ("16", 16, True),
        ("True", True, True),
        ("1", True, False),
        ("None", None, True),
        ("q", "q", True),
        ('["q", "v"]', ["q", "v"], True),
        ("0.001", 0.01, False),
        ("abc", 3, False),
    ],
)
def test_a_stored_parameter_is_compared_by_value(text: str, value: object, expected: bool) -> None:
    assert is_same_value(text, value) is expected


def test_the_text_says_which_difference_the_seeds_find() -> None:
    # Both rows have a standard deviation of 0.01; 3 seeds find 3.7 of these, and 10 find 1.4.
    scores = [[0.80, 0.81, 0.82], [0.70, 0.71, 0.72]]
    text = pairs.describe_power(make_search(), scores)
    assert text is not None
    few, many = (100 * 0.01 * (find_detectable(2, seeds) or 0) for seeds in (3, 10))
    assert f"With 3 seeds per row a difference of about {few:.2f} points is found in 80 %" in text
    assert f"with 10 seeds one of about {many:.2f} points" in text
    two = pairs.describe_power(make_search(), [row[:2] for row in scores])
    assert two is not None
    assert "2 seeds per row no difference, however large, is found in 80 %" in two
    assert pairs.describe_power(make_search(), [[0.5, 0.5, 0.5]] * 2) is None
    assert pairs.describe_power(make_search(), scores[:1]) is None
