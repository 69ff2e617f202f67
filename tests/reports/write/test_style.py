"""Limits of score axes: few very poor scores lie outside, and the best never."""

import matplotlib
import pytest

from reports.write.style import (
    create_figure,
    end_at_all,
    figure_style,
    find_score_limits,
    format_score_axis,
)
from tests.support.make_search import make_search


@pytest.mark.parametrize("mode", ["max", "min"])
def test_outliers_are_outside_and_the_best_never(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    scores = [sign * s for s in (0.1, 0.9, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.97, 0.98)]
    low, high = find_score_limits(scores, mode)
    assert low < sign * 0.98 < high
    assert not low <= sign * 0.1 <= high
    assert high - low < 0.3


def test_an_axis_without_scores_has_limits() -> None:
    assert find_score_limits([], "min") == (0.0, 1.0)


@pytest.mark.parametrize("scores", [[0.5], [0.0, 0.0], [*[0.9] * 9, 0.2]])
def test_equal_scores_have_limits(scores: list[float]) -> None:
    low, high = find_score_limits(scores, "max")
    assert low < min(scores) <= max(scores) < high


def test_settings_of_the_user_change_no_figure() -> None:
    with figure_style():
        expected = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"text.usetex": True, "savefig.dpi": 17, "font.size": 40}):
        with figure_style():
            assert dict(matplotlib.rcParams) == expected
        assert matplotlib.rcParams["savefig.dpi"] == 17


@pytest.mark.parametrize(("metric", "end"), [("accuracy", 1.0), ("loss", 1.02)])
def test_an_axis_in_per_cent_ends_at_all(metric: str, end: float) -> None:
    with figure_style():
        figure = create_figure(make_search(), 3, 2)
        axes = figure.subplots()
        axes.set_ylim(0.9, 1.02)
        format_score_axis(axes.yaxis, metric)
    end_at_all(figure)
    assert axes.get_ylim() == (0.9, end)
