"""Panels of hyperparameters: positions of marks, and no isolation plot of too few trials."""

import io
import warnings

import numpy as np
from matplotlib.axes import Axes

from reports.chapters.hyperparameters.axis_plots import TICKS, draw_axis_plots
from reports.chapters.hyperparameters.boundary import Edge
from reports.read.space import Parameter
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from tests.support.make_search import make_search, make_trial

RATE = Parameter("rate", low=0.0, high=8.0)


def panel(found: Search) -> Axes:
    choice = Choice(tuple(t for t in found.trials if t.outcome == "complete"), True)
    return draw_axis_plots(found, choice, (RATE,), {"rate": Edge(1, "")}).axes[0]


def make_point(number: int, rate: float, score: float, outcome: str = "complete") -> TrialRecord:
    return make_trial(number, score, outcome=outcome, params={"rate": rate})


def lines(axes: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_xdata()) for line in axes.lines if line.get_color() == "black"]


def test_the_isolation_plot_needs_three_trials_in_a_bin() -> None:
    one_each = [make_point(n, n + 0.5, 0.9 + n / 100) for n in range(8)]
    assert lines(panel(make_search(*one_each))) == []
    more = [make_point(8 + 2 * n + i, n + 0.6, 0.8) for n in (0, 1, 4) for i in range(2)]
    (line,) = lines(panel(make_search(*one_each, *more)))
    assert [i for i, x in enumerate(line) if np.isfinite(x)] == [0, 1, 4]


def test_stopped_trials_are_drawn_at_their_scores() -> None:
    good = [make_point(n, n + 0.5, 0.9 + n / 1000) for n in range(8)]
    stopped = [make_point(8 + n, n + 0.5, 0.1 + n / 10, "stopped") for n in range(4)]
    for mode, sign in (("max", 1.0), ("min", -1.0)):
        turned = [
            make_point(t.number, float(t.params["rate"]), sign * t.metrics["score"], t.outcome)
            for t in (*good, *stopped)
        ]
        axes = panel(make_search(*turned, mode=mode))
        points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections])
        for t in turned:
            assert [float(t.params["rate"]), t.metrics["score"]] in points.tolist()
        low, high = sorted(
            axes.transAxes.inverted().transform(
                axes.transData.transform([(0, sign * 0.9), (0, sign * 0.907)])
            )[:, 1]
        )
        assert high - low > 0.4  # the complete ones keep most of the height
        assert 0 <= low < high <= 1


def test_a_winner_outside_the_range_is_inside_the_panel() -> None:
    found = make_search(make_point(0, 11.0, 0.99), *(make_point(n, n, 0.9) for n in range(1, 8)))
    choice = Choice(found.trials, True)
    axes = draw_axis_plots(found, choice, (RATE,), {"rate": Edge(1, "")}).axes[0]
    assert axes.get_xlim()[1] > 11
    points = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections]).tolist()
    assert [11.0, 0.99] in points


def test_a_thousand_choices_have_few_labels_and_the_winners_is_one() -> None:
    kind = Parameter("kind", choices=tuple(f"choice {n}" for n in range(1000)))
    trials = [make_trial(n, n / 1000, params={"kind": f"choice {n * 7}"}) for n in range(100)]
    winner = trials[-1]
    choice = Choice((winner, *trials[:-1]), True)
    with warnings.catch_warnings(action="error"):
        figure = draw_axis_plots(make_search(*trials), choice, (kind,), {"kind": Edge(1, "")})
        figure.savefig(io.BytesIO(), format="png")
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert len(labels) <= TICKS
    assert winner.params["kind"] in labels
