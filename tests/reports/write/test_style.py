"""Limits of score axes, and figures that look the same for every user."""

from pathlib import Path

import matplotlib
import pytest

from reports.write.style import create_figure, figure_style, find_score_limits, save_figure
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


def test_a_figure_does_not_depend_on_the_users_settings(tmp_path: Path) -> None:
    def draw(name: str) -> bytes:
        with figure_style():
            figure = create_figure(make_search(), 2, 2)
            figure.subplots().set_title("a_b $c")
        save_figure(figure, tmp_path, name)
        return (tmp_path / f"{name}.png").read_bytes()

    before = draw("before")
    with matplotlib.rc_context({"text.usetex": True, "axes.linewidth": 9, "savefig.dpi": 30}):
        assert draw("after") == before
