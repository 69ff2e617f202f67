"""Figure of the comparison: a mark with its interval per group, and the single runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import offset_copy
from numpy.typing import NDArray

from reports.chapters.comparison.groups import Group, name_group, sort_by_values, to_numbers
from reports.chapters.comparison.published import Column
from reports.numbers.statistics import Interval, mean_interval, sample_evenly, wilson_interval
from reports.records import Search
from reports.write.labels import to_label
from reports.write.style import (
    BLUE,
    GREY,
    RED,
    create_figure,
    figure_style,
    format_score_axis,
    label_axis,
    set_log_axis,
)
from reports.write.tables import format_value, is_share

FEWEST = 3  # different numbers for a numeric axis
LOG_FROM = 8  # largest over smallest number for a log axis
TICKS = 12  # numbers at a numeric axis
DOTS = 30  # at most so many single runs per group
ASIDE = 6.0  # offset of single runs from the mark of their group, in points


def draw_comparison(
    search: Search,
    found: Sequence[Group],
    repeated: bool,
    theirs: Column | None,
    n: int | None,
) -> Figure:
    """Return scores over a numeric axis if one number is compared, else a line per group.

    `n` is the number of validation examples, for the intervals of single runs.
    """
    order = sort_by_values(found)
    theirs = keep_same_unit(search, theirs)
    values = find_numbers(search, order)
    marks = [find_mark(g, repeated, n) for g in order]
    with figure_style():
        if values is not None:
            fig = create_figure(search, 5.4, 3.2)
            axes = fig.subplots()
            _draw_groups(
                axes, search, order, marks, theirs, _set_numeric_axis(axes, search, values), False
            )
        else:
            fig = create_figure(search, 5.8, 0.9 + 0.3 * len(order))
            axes = fig.subplots()
            places = np.arange(len(order), dtype=float)
            _draw_groups(axes, search, order, marks, theirs, places, True)
            axes.set_yticks(places, [to_label(name_group(search, g), 48) for g in order])
            if len(search.compare) == 1:
                axes.set_ylabel(label_axis(search.compare[0]))
            axes.set_ylim(len(order) - 0.5, -0.5)
            axes.grid(False, axis="y")
    return fig


def keep_same_unit(search: Search, theirs: Column | None) -> Column | None:
    """Return published results, None where shares and other metrics would share an axis."""
    if theirs is None or is_share(theirs.metric) != is_share(search.metric):
        return None
    return theirs


def find_numbers(search: Search, order: Sequence[Group]) -> list[float] | None:
    """Return the values of the one compared hyperparameter where they make a numeric axis."""
    values = to_numbers([g.values[0] for g in order]) if len(search.compare) == 1 else None
    return values if values is not None and len(set(values)) >= FEWEST else None


def find_mark(group: Group, repeated: bool, n: int | None) -> Interval:
    """Return the score of a group with its interval, nan for a group without a score."""
    if not group.trials:
        return Interval(np.nan, np.nan, np.nan, 0)
    if repeated:
        return group.interval
    score = group.best.metrics["score"]
    if n is None or not 0 <= score <= 1:
        return mean_interval([score])
    found = wilson_interval(round(score * n), n)
    return Interval(score, found.low, found.high, n)


def _set_numeric_axis(axes: Axes, search: Search, values: Sequence[float]) -> NDArray[np.float64]:
    if min(values) > 0 and max(values) / min(values) >= LOG_FROM:
        axes.set_xscale("log")
        pad = (max(values) / min(values)) ** 0.06
        axes.set_xlim(min(values) / pad, max(values) * pad)
    else:
        pad = 0.06 * (max(values) - min(values))
        axes.set_xlim(min(values) - pad, max(values) + pad)
    ticks = sample_evenly(sorted(set(values)), TICKS)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(f"{value:.10g}")))
    axes.set_xlabel(label_axis(search.compare[0]))
    return np.asarray(values, dtype=float)


def _draw_groups(
    axes: Axes,
    search: Search,
    order: Sequence[Group],
    marks: Sequence[Interval],
    theirs: Column | None,
    places: NDArray[np.float64],
    lying: bool,
) -> None:
    def scatter(
        at: Sequence[float] | NDArray[np.float64],
        scores: Sequence[float],
        aside: float = 0,
        **how: Any,
    ) -> None:
        # Offset by `aside` points, so that other marks do not hide them.
        if not scores:  # an empty collection breaks the layout
            return
        x, y = (0, -aside) if lying else (aside, 0)
        where = offset_copy(axes.transData, axes.get_figure(root=True), x, y, units="points")
        axes.scatter(*((scores, at) if lying else (at, scores)), transform=where, **how)

    several = any(len(g.trials) > 1 for g in order)
    for place, group in zip(places, order, strict=True):
        # Worst first, so that the best ones are drawn on top.
        single = group.scores[: DOTS - 1] + group.scores[-1:] if several else []
        scatter([place] * len(single), single, ASIDE, s=14, c=GREY, lw=0, zorder=3)
    kind = axes.hlines if lying else axes.vlines
    known = [i for i, mark in enumerate(marks) if mark.is_known]
    kind(
        places[known],
        [marks[i].low for i in known],
        [marks[i].high for i in known],
        color=BLUE,
        lw=1.6,
        zorder=2,
    )
    label = "ours" if theirs else None
    own = [i for i, group in enumerate(order) if group.trials]
    scatter(places[own], [marks[i].value for i in own], s=34, c=BLUE, zorder=4, label=label)
    published = [
        (place, value)
        for place, group in zip(places, order, strict=True)
        for value in (theirs.values.get(group.values, ()) if theirs else ())
    ]
    if published and theirs:
        at, values = zip(*published, strict=True)
        how: dict[str, Any] = {
            "facecolors": "none",
            "edgecolors": RED,
            "linewidths": 1.3,
            "marker": "D",
        }
        scatter(
            at, values, s=30, zorder=5, label=to_label(f"published ({theirs.name})", 60), **how
        )
        axes.figure.legend(loc="outside upper center", ncols=2)
    ends = _find_ends(search, order, marks, [value for _, value in published])
    axis = axes.xaxis if lying else axes.yaxis
    (axes.set_xlim if lying else axes.set_ylim)(*ends)
    for end, beyond, sign in (
        (ends[0], [i for i in known if marks[i].low < ends[0]], "<" if lying else "v"),
        (ends[1], [i for i in known if marks[i].high > ends[1]], ">" if lying else "^"),
    ):
        scatter(places[beyond], [end] * len(beyond), s=26, c=BLUE, marker=sign, clip_on=False)
    if not is_share(search.metric) and ends[0] > 0 and ends[1] / ends[0] > 30:
        set_log_axis(axes, "x" if lying else "y")
    (axes.set_xlabel if lying else axes.set_ylabel)(label_axis(search.metric))
    format_score_axis(axis, search.metric)


def _find_ends(
    search: Search, order: Sequence[Group], marks: Sequence[Interval], published: Sequence[float]
) -> tuple[float, float]:
    # All marks and dots are inside; intervals of few seeds may be very long and are cut.
    values = [
        *published,
        *(s for g in order for s in g.scores),
        *(m.value for m in marks if m.n),
    ]
    low, high = min(values), max(values)
    reach = (high - low) / 2
    inside = [v for m in marks if m.is_known for v in (m.low, m.high)]
    low = max(low - reach, min([low, *inside]))
    high = min(high + reach, max([high, *inside]))
    lowest = min(values)
    if lowest > 0 and high / lowest > 30 and not is_share(search.metric):  # a log axis
        return lowest / 1.5, high * 1.5
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    top = min(high + margin, 1.0 + margin / 2) if is_share(search.metric) else high + margin
    return low - margin, top
