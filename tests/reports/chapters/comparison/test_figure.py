"""Figures of compared settings: their axes, and curves over seeds."""

from dataclasses import replace

import matplotlib.colors
import numpy as np
import pytest

from reports.chapters.comparison.figure import draw_comparison
from reports.chapters.comparison.groups import group_trials
from reports.chapters.comparison.published import find_column
from reports.chapters.curves.by_arm import average_curves, draw_arm_curves
from reports.numbers.statistics import mean_interval
from reports.write.style import BLUE
from tests.support.comparison import APART, BATCHES, entries, repeated, with_published
from tests.support.make_search import make_search, make_trial


def test_numbers_have_a_numeric_axis() -> None:
    search = with_published(APART, entries(BATCHES))
    rows = group_trials(search)
    axes = draw_comparison(search, rows, True, find_column(search, rows), None).axes[0]
    assert axes.get_xscale() == "log"
    assert sorted(axes.get_xticks()) == [16, 32, 64, 512]
    marks = next(c for c in axes.collections if c.get_label() == "ours")
    expected = {float(size): np.mean(found) for size, found in APART.items()}
    assert {x: float(y) for x, y in marks.get_offsets()} == pytest.approx(expected)
    hollow = next(c for c in axes.collections if str(c.get_label()).startswith("published"))
    assert {int(x): round(float(y), 4) for x, y in hollow.get_offsets()} == {
        size: value / 100 for size, value in BATCHES.items()
    }
    assert len(hollow.get_facecolor()) == 0
    lines = next(c for c in axes.collections if hasattr(c, "get_segments"))
    ends = {segment[0][0]: (segment[0][1], segment[1][1]) for segment in lines.get_segments()}
    interval = mean_interval(APART[32])
    assert np.allclose(ends[32], (interval.low, interval.high))
    assert matplotlib.colors.same_color(lines.get_color()[0], BLUE)


def test_names_have_a_line_each() -> None:
    named = repeated({"sgd": [0.9, 0.8], "adam": [0.7, 0.6]})
    axes = draw_comparison(named, group_trials(named), True, None, None).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sgd", "adam"]


def test_a_row_without_a_complete_trial_keeps_its_published_number() -> None:
    runs = [(16, 0.80, "complete"), (64, 0.85, "complete"), (32, 0.1, "stopped")]
    search = make_search(
        *(
            make_trial(n, s, outcome=o, params={"batch_size": b})
            for n, (b, s, o) in enumerate(runs)
        ),
        compare=("batch_size",),
    )
    search = replace(search, published=tuple(entries({16: 81.0, 32: 82.0})))
    rows = group_trials(search)
    axes = draw_comparison(search, rows, False, find_column(search, rows), 100).axes[0]
    assert sorted(axes.get_xticks()) == [16, 32, 64]
    hollow = next(c for c in axes.collections if str(c.get_label()).startswith("published"))
    assert [float(x) for x, _ in hollow.get_offsets()] == [16, 32]
    on_rows = hollow.get_offset_transform().transform(hollow.get_offsets())
    assert np.allclose(on_rows, axes.transData.transform(hollow.get_offsets()))


def test_an_interval_outside_the_axis_ends_in_an_arrow() -> None:
    named = repeated({"sgd": [0.50, 0.90], "adam": [0.70, 0.71]})
    axes = draw_comparison(named, group_trials(named), True, None, None).axes[0]
    assert axes.get_ylabel() == "batch size"
    low, high = axes.get_xlim()
    assert mean_interval([0.50, 0.90]).low < low
    ends = [
        tuple(c.get_offsets()[0])
        for c in axes.collections
        if not c.get_clip_on() and len(c.get_offsets())
    ]
    assert ends == [(low, 0), (high, 0)]


def test_the_mean_is_over_reports_of_all_curves() -> None:
    one, two = ((1, 1.0), (2, 2.0), (3, 9.0)), ((1, 3.0), (2, 4.0))
    assert average_curves([one, two, ()]) == ((1, 2.0), (2, 3.0))
    assert average_curves([]) == ()


def test_one_colour_per_arm_and_a_line_per_seed() -> None:
    curve = tuple((i, 0.5 * 0.7**i) for i in range(1, 13))
    trials = [
        make_trial(
            n,
            params={"blocks": blocks, "skip": skip, "seed": seed},
            metrics={"gradient": 0.1},
            curves={"gradient": curve},
        )
        for n, (blocks, skip, seed) in enumerate(
            (b, s, r) for b in (2, 4, 6) for s in (False, True) for r in range(2)
        )
    ]
    search = make_search(*trials, compare=("blocks", "skip"), metric="gradient", mode="min")
    drawn = draw_arm_curves(search, group_trials(search), trials, ("gradient",))
    assert drawn is not None
    axes = drawn.axes[0]
    thick = [line for line in axes.lines if line.get_linewidth() > 1]
    assert len(axes.lines) == 12 + 6
    assert len({matplotlib.colors.to_hex(line.get_color()) for line in thick}) == 3
    assert len({line.get_linestyle() for line in thick}) == 2
    assert axes.get_yscale() == "log"
    assert np.allclose(thick[0].get_ydata(), [value for _, value in curve])
    assert len(drawn.legends[0].get_texts()) == 6
