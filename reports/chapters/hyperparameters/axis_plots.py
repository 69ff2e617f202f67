"""Score against every searched hyperparameter: one panel each, with an isolation plot.

Axis plots of all trials with an isolation plot: the best score per value over all other
hyperparameters (Tuning Playbook, Godbole et al., 2023).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.chapters.hyperparameters.boundary import Edge
from reports.chapters.hyperparameters.broken_axis import set_broken_axis
from reports.numbers.statistics import is_finite, sample_evenly
from reports.read.space import Parameter, find_any_value, find_value
from reports.read.winner import LOST, Choice
from reports.records import Search, TrialRecord
from reports.write.labels import to_label
from reports.write.style import (
    OUTCOME_COLOURS,
    RASTERIZE_FROM,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    label_axis,
    set_log_axis,
)
from reports.write.tables import format_value

BINS = 8  # of a range, for the isolation plot
FEWEST = 3  # complete trials in a bin; the best of fewer is too noisy
COLUMNS = 3
PANELS = 18  # in one readable figure
TICKS = 12  # choices with a label


def draw_axis_plots(
    search: Search, choice: Choice, space: tuple[Parameter, ...], edges: Mapping[str, Edge]
) -> Figure:
    """Return one panel per hyperparameter, all with the same score axis."""
    scored = [t for t in search.trials if is_finite(t.metrics.get("score"))]
    # The limits are those of complete trials: stopped ones have much worse scores.
    ended = [t for t in scored if t.outcome == "complete"] or scored
    frame = find_score_limits([t.metrics["score"] for t in ended], search.mode)
    columns = min(COLUMNS, len(space))
    lines = -(-len(space) // columns)
    with figure_style():
        figure = create_figure(search, 2.65 * columns + 0.6, 2.3 * lines + 0.2)
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, p in zip(panels.flat, space, strict=False):
            _draw_panel(
                axes, search, choice, space, p, frame, [t.metrics["score"] for t in scored]
            )
            if edges[p.name].warning:
                _shade_edges(axes, p, edges[p.name])
        for axes in panels.flat[len(space) :]:
            axes.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel(label_axis(search.metric))
            format_score_axis(axes.yaxis, search.metric)
    return figure


def _draw_panel(
    axes: Axes,
    search: Search,
    choice: Choice,
    space: tuple[Parameter, ...],
    p: Parameter,
    frame: tuple[float, float],
    scores: Sequence[float],
) -> None:
    many: dict[str, Any] = {"rasterized": len(search.trials) > RASTERIZE_FROM, "clip_on": False}
    if set_broken_axis(axes, frame, scores, search.mode):
        edge = frame[0 if search.mode == "max" else 1]
        axes.axhline(edge, color="0.6", lw=0.8, ls=(0, (3, 3)), zorder=1)
    size = 13 if len(search.trials) < 300 else 5
    others = [t for t in search.trials if t is not choice.winner]
    for outcome in ("stopped", "unfinished", "complete"):
        x, y = _find_points(space, p, [t for t in others if t.outcome == outcome])
        hollow = outcome != "complete"
        face = "none" if hollow else OUTCOME_COLOURS[outcome]
        rim = "0.6" if hollow else "white"
        axes.scatter(x, y, s=size, facecolors=face, edgecolors=rim, linewidths=0.5, **many)
    gone = [find_any_value(space, p, t) for t in search.trials if t.outcome in LOST]
    at_x = _place(p, [v for v in gone if v is not None])
    bottom = axes.get_ylim()[0 if search.mode == "max" else 1]
    axes.scatter(
        at_x, np.full(len(at_x), bottom), s=14, c="0.15", marker="x", linewidths=0.8, **many
    )
    _draw_isolation(axes, search, space, p)
    best = find_any_value(space, p, choice.winner)
    if best is not None:
        score = choice.winner.metrics["score"]
        how: dict[str, Any] = {"edgecolors": "white", "linewidths": 0.6, "zorder": 5}
        axes.scatter(_place(p, [best]), [score], s=95, c=RED, marker="*", **how)
    axes.set_title(to_label(p.name, 34))
    seen = [find_any_value(space, p, t) for t in search.trials]
    _set_x_axis(axes, p, best, [v for v in seen if v is not None])


def _find_points(
    space: tuple[Parameter, ...], p: Parameter, trials: Sequence[TrialRecord]
) -> tuple[Any, Any]:
    scored = [t for t in trials if is_finite(t.metrics.get("score"))]
    pairs = [
        (v, t.metrics["score"]) for t in scored if (v := find_any_value(space, p, t)) is not None
    ]
    return _place(p, [v for v, _ in pairs]), np.array([score for _, score in pairs], dtype=float)


def _place(p: Parameter, values: Sequence[Any]) -> Any:
    if p.choices:
        # Trials with the same value side by side, at random.
        spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(values))
        return np.array([p.places[v] for v in values], dtype=float) + spread
    return np.array(values, dtype=float)


def _draw_isolation(
    axes: Axes, search: Search, space: tuple[Parameter, ...], p: Parameter
) -> None:
    trials = [t for t in search.trials if t.outcome == "complete"]
    best: dict[int, tuple[float, float]] = {}  # bin: (value, score)
    counts: Counter[int] = Counter()
    sign = 1 if search.mode == "max" else -1
    for trial in trials:
        v, score = find_value(space, p, trial), trial.metrics.get("score")
        if v is None or not is_finite(score) or score is None:
            continue
        at = p.find_position(v)
        cell = p.places[v] if p.choices else min(BINS - 1, int(at * BINS))
        counts[cell] += 1
        if cell not in best or sign * score > sign * best[cell][1]:
            best[cell] = (v, score)
    best = {cell: best[cell] for cell in sorted(best) if counts[cell] >= FEWEST}
    if p.choices:
        at_cells, levels = np.array(list(best), float), [score for _, score in best.values()]
        axes.hlines(levels, at_cells - 0.3, at_cells + 0.3, color="black", lw=1.6)
        return
    if len(best) < FEWEST:
        return
    # A bin with too few trials interrupts the line.
    line = [best.get(cell, (np.nan, np.nan)) for cell in range(BINS)]
    axes.plot(*zip(*line, strict=True), color="black", lw=1.2, alpha=0.85)


def _set_x_axis(axes: Axes, p: Parameter, winner: Any, seen: Sequence[Any]) -> None:
    if p.choices:
        _set_choices(axes, p, winner)
        return
    low, high = min([p.low, *seen]), max([p.high, *seen])
    if p.log:
        pad = (high / low) ** 0.03 if high > low else 1.1
        axes.set_xlim(low / pad, high * pad)
        set_log_axis(axes, "x")
        return
    pad = 0.03 * (high - low) or 0.03 * abs(high) or 1.0
    axes.set_xlim(low - pad, high + pad)
    if p.whole:
        axes.locator_params(axis="x", integer=True, nbins=6)
    else:
        axes.locator_params(axis="x", nbins=5)


def _set_choices(axes: Axes, p: Parameter, winner: Any) -> None:
    places = sample_evenly(range(len(p.choices)), TICKS)
    if winner is not None and p.places[winner] not in places:
        # The label of the winner replaces its neighbour's.
        near = min(range(len(places)), key=lambda i: abs(places[i] - p.places[winner]))
        places[near] = p.places[winner]
    labels = [to_label(format_value(p.choices[place]), 18) for place in places]
    long = max(map(len, labels)) * len(labels) > 28
    axes.set_xticks(places, labels, rotation=30 if long else 0, ha="right" if long else "center")
    axes.set_xlim(-0.5, len(p.choices) - 0.5)
    axes.grid(False, axis="x")


def _shade_edges(axes: Axes, p: Parameter, edge: Edge) -> None:
    left, right = axes.get_xlim()
    inner = _find_inner(p)
    both = ((edge.low_warned, left, inner[0]), (edge.high_warned, inner[1], right))
    for warned, start, end in both:
        if warned:
            axes.axvspan(start, end, color="#e69f00", alpha=0.3, lw=0, zorder=0)


def _find_inner(p: Parameter) -> tuple[float, float]:
    if p.log:
        width = (p.high / p.low) ** 0.05
        return p.low * width, p.high / width
    width = 0.05 * (p.high - p.low)
    return p.low + width, p.high - width
