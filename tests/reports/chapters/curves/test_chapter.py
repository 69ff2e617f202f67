"""Training curves are drawn where their metrics are missing or undefined at some reports, too."""

from __future__ import annotations

import math

import numpy as np

from reports.chapters.curves.chapter import draw_training_curves
from tests.support.make_search import make_search, make_trial


def test_a_curve_with_gaps_has_its_finite_points() -> None:
    keys = ("validation_accuracy", "train_loss")
    whole = tuple((report, 1 - 1 / (1 + report)) for report in range(1, 10))
    curves = (
        {keys[0]: whole, keys[1]: ((2, 1.0), (4, math.nan), (8, 0.5))},
        {keys[0]: whole[::4], keys[1]: ((3, math.nan), (6, math.inf))},
        {keys[0]: whole[:1]},
    )
    trials = [make_trial(n, 0.9 - n / 10, curves=found) for n, found in enumerate(curves)]
    figure = draw_training_curves(make_search(*trials), trials, 1, keys)
    assert figure is not None
    accuracy, loss = figure.axes[:2]
    drawn = [line.get_xdata() for line in accuracy.lines]
    assert sorted(map(len, drawn)) == [1, 3, 9]
    (line,) = loss.lines
    (two, one), (four, gap), (eight, half) = line.get_xydata().tolist()
    assert [two, one, four, eight, half] == [2, 1.0, 4, 8, 0.5]
    assert math.isnan(gap)  # the line is interrupted, so each point has a mark
    assert line.get_marker() == "."
    assert np.isfinite(loss.get_ylim()).all()
    bare = [make_trial(0, 0.9, curves={keys[1]: ((3, math.nan), (6, math.nan))})]
    assert draw_training_curves(make_search(*bare), bare, 0, keys) is None
