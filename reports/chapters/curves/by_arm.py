"""Training curves of settings repeated over seeds: one colour per setting."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.chapters.comparison.groups import Group, name_group, sort_by_values, to_numbers
from reports.numbers.statistics import is_finite, smooth
from reports.records import Curve, Search, TrialRecord
from reports.write.labels import to_label
from reports.write.safe import format_code
from reports.write.style import (
    create_figure,
    figure_style,
    format_score_axis,
    label_axis,
    set_log_axis,
)
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_score,
    format_value,
    is_share,
    to_markdown,
)

MOST = 12  # settings in one figure
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#000000", "#8c6d31")
"""Those of Okabe and Ito (2008) and a brown, for values without an order."""
DASHES = ("-", (0, (4, 1.5)), (0, (1, 1.2)))
WIDE = 30  # largest over smallest value of a linear axis


@dataclass(frozen=True)
class LineStyle:
    """Colour and dashes of a setting."""

    colour: Any
    dashes: Any = "-"


def draw_arm_curves(
    search: Search, found: Sequence[Group], trials: Sequence[TrialRecord], keys: Sequence[str]
) -> Figure | None:
    """Return metrics over reports: every run, and the mean of the complete runs per setting.

    `trials` have their curves. None if no run has two reports.
    """
    curves = {trial.number: trial.curves for trial in trials}
    keys = [
        key for key in keys if any(len(find_drawable(c.get(key, ()))) > 1 for c in curves.values())
    ]
    if not keys:
        return None
    order = sort_by_values(found)
    looks = _choose_styles(order)
    with figure_style():
        figure = create_figure(search, 4.1 * len(keys) + 1.5, 3.3)
        panels = figure.subplots(1, len(keys), squeeze=False)[0]
        for axes, key in zip(panels, keys, strict=True):
            every = [find_drawable(of.get(key, ())) for of in curves.values()]
            values = np.array([value for curve in every for _, value in curve])
            log = not is_share(key) and values.min() > 0 and values.max() / values.min() > WIDE
            for group, look in zip(order, looks, strict=True):
                _draw_setting(axes, search, group, look, curves, key, log)
            if log:
                set_log_axis(axes, "y")
            elif is_share(key):
                format_score_axis(axes.yaxis, key)
            axes.locator_params(axis="x", integer=True)
            axes.set_xlabel("report")
            axes.set_ylabel(label_axis(key))
        handles, labels = panels[0].get_legend_handles_labels()
        title = label_axis(search.compare[0]) if len(search.compare) == 1 else None
        figure.legend(handles, labels, loc="outside right upper", title=title, handlelength=2.6)
    return figure


def average_curves(curves: Sequence[Curve]) -> Curve:
    """Return the mean at every report that all of these curves have."""
    values = [dict(curve) for curve in curves if curve]
    if not values:
        return ()
    steps = sorted(set.intersection(*(set(of) for of in values)))
    return tuple((step, float(np.mean([of[step] for of in values]))) for step in steps)


def write_arm_table(
    search: Search, found: Sequence[Group], trials: Sequence[TrialRecord]
) -> str | None:
    """Return the mean of every setting at its first and its last report.

    None if no mean has two reports.
    """
    curves = {trial.number: trial.curves.get(search.metric, ()) for trial in trials}
    rows = []
    for group in sort_by_values(found):
        mean = average_curves([find_drawable(curves.get(t.number, ())) for t in group.trials])
        if len(mean) > 1:
            (_, first), (_, last) = mean[0], mean[-1]
            times = f"{last / first:.3g} ×" if first > 0 and last > 0 else ""
            ends = (format_score(value, search.metric) for value in (first, last))
            rows.append((*map(format_value, group.values), *ends, times))
    if not rows:
        return None
    about = ("at the first report", "at the last", "last over first")
    align = "l" * len(search.compare) + "rrr"
    table = drop_empty_columns(Table((*search.compare, *about), tuple(rows), align))
    return f"Means of {format_code(search.metric)} over seeds:\n\n{to_markdown(table)}"


def _draw_setting(
    axes: Axes,
    search: Search,
    group: Group,
    look: LineStyle,
    curves: Mapping[int, Mapping[str, Curve]],
    key: str,
    log: bool,
) -> None:
    for trial in group.tried:
        curve = mark_gaps(curves.get(trial.number, {}).get(key, ()))
        if curve:
            how: dict[str, Any] = {"marker": choose_marker(curve), "ms": 2}
            axes.plot(*zip(*curve, strict=True), color=look.colour, lw=0.6, alpha=0.35, **how)
    whole = [find_drawable(curves.get(t.number, {}).get(key, ())) for t in group.trials]
    mean = average_curves(whole)
    # A setting without a mean is in the legend, too.
    steps, values = zip(*mean, strict=True) if mean else ((), ())
    drawn = _smooth_in_scale(values, log) if values else np.array([])
    dot = "." if len(mean) == 1 else ""
    name = to_label(name_group(search, group))
    axes.plot(
        steps, drawn, color=look.colour, ls=look.dashes, lw=1.9, marker=dot, label=name, zorder=3
    )


def _smooth_in_scale(values: Sequence[float], log: bool) -> NDArray[np.float64]:
    # In the scale of the axis: a parabola through values near 0 would be negative.
    raw = np.log(values) if log else np.asarray(values)
    smoothed = smooth(list(raw))
    result = raw if smoothed is None else smoothed
    return np.asarray(np.exp(result) if log else result)


def _choose_styles(order: Sequence[Group]) -> list[LineStyle]:
    """Return colours by the hyperparameter with the most values, dashes by a second one."""
    columns = list(zip(*(g.values for g in order), strict=True))
    kinds = [list(dict.fromkeys(column)) for column in columns]
    most = max(range(len(columns)), key=lambda i: len(kinds[i]))
    others = [i for i in range(len(columns)) if i != most and len(kinds[i]) > 1]
    if len(others) == 1 and len(kinds[others[0]]) <= len(DASHES):
        colours = _choose_colours(kinds[most])
        dashes = dict(zip(kinds[others[0]], DASHES, strict=False))
        return [LineStyle(colours[g.values[most]], dashes[g.values[others[0]]]) for g in order]
    if others:
        by_setting = _choose_colours([str(g.values) for g in order])
        return [LineStyle(colour) for colour in by_setting.values()]
    colours = _choose_colours(kinds[most])
    return [LineStyle(colours[g.values[most]]) for g in order]


def _choose_colours(values: Sequence[str]) -> dict[str, Any]:
    if to_numbers(values) is not None or len(values) > len(COLOURS):
        shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.88, len(values)))
        return dict(zip(values, shades, strict=True))
    return dict(zip(values, COLOURS, strict=False))


def find_drawable(curve: Curve) -> Curve:
    """Return the points of a curve with finite values."""
    return tuple(point for point in curve if is_finite(point[1]))


def mark_gaps(curve: Curve) -> Curve:
    """Return a curve with nan for values that are not finite, where its line is interrupted."""
    return tuple((step, value if is_finite(value) else math.nan) for step, value in curve)


def choose_marker(curve: Curve) -> str:
    """Return a dot for the points of a curve that a line alone might not show."""
    return "." if len(curve) == 1 or any(math.isnan(value) for _, value in curve) else ""
