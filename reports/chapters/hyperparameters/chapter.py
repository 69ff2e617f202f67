"""Score against every searched hyperparameter: good values, and whether its range is right.

Axis plots of all trials with an isolation plot: the best score per value over all other
hyperparameters (Tuning Playbook, Godbole et al., 2023).
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reports.chapters.hyperparameters.boundary import Edge, count_near_edges
from reports.chapters.hyperparameters.broken_axis import set_broken_axis
from reports.numbers.statistics import is_finite
from reports.read.space import Parameter, find_value
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import (
    OUTCOME_COLOURS,
    RASTERIZE_FROM,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    set_log_axis,
    to_words,
)
from reports.write.tables import Table, to_markdown

BINS = 8  # of a range, for the isolation plot
FEWEST = 3  # complete trials in a bin; the best of fewer is too noisy
LOST = ("diverged", "failed")
COLUMNS = 3


def write_section(search: Search, choice: Choice, space: tuple[Parameter, ...]) -> Section | None:
    """Return figure, table and warnings; None if no hyperparameter was searched."""
    if not space:
        return None
    edges = {p.name: count_near_edges(space, p, choice, search.mode) for p in space}
    header: tuple[str, ...] = ("hyperparameter", "searched", "winner", "best trials")
    header = (*header, "near the lower end", "near the upper end")
    rows = tuple(_format_row(space, p, choice, edges[p.name]) for p in space)
    lost = [trial for trial in search.trials if trial.outcome in LOST]
    if lost:
        header = (*header, "diverged or failed")
        rows = tuple(
            (*row, _format_lost(space, p, search)) for row, p in zip(rows, space, strict=True)
        )
    best = next(iter(edges.values())).of
    warnings = [f"- {edge.warning}" for edge in edges.values() if edge and edge.warning]
    legend = (
        "One mark per trial: filled for complete trials, hollow for stopped ones (with their best "
        "score), a cross at the edge for diverged or failed ones, a star for the winner. Beyond a "
        "dashed line the score axis is compressed, to show outliers. The black line is the "
        f"isolation plot: the best complete trial in each of {BINS} bins of the range, or for "
        f"each value, over all other hyperparameters. Bins need {FEWEST} complete trials, and a "
        f"range needs {FEWEST} such bins."
    )
    table_text = (
        f"*Best trials*: the values of the {best} best trials. *Near an end*: how many of them "
        "are within 5 % of the range (in log scale for log ranges)."
    )
    if lost:
        table_text += (
            " *Diverged or failed*: share of the trials in each third of the range, or with each "
            "value."
        )
    guessed = [p for p in space if not p.declared]
    if guessed:
        table_text += (
            " The ranges are not recorded and are estimated from the trials, so their ends are "
            "not checked."
        )
    warned = (
        "**Boundary warnings**: the best values may be outside of the searched range.\n\n"
        + "\n".join(warnings)
        if warnings
        else None
        if guessed
        else "No boundary warning: the best trials are not concentrated at the end of a range."
    )
    text = join_paragraphs(
        embed_figure("hyperparameters", "Score against every hyperparameter"),
        legend,
        to_markdown(Table(header, rows, "llrlrrl"[: len(header)])),
        table_text,
        warned,
    )
    return Section(text, {"hyperparameters": draw_axis_plots(search, choice, space, edges)})


def draw_axis_plots(
    search: Search, choice: Choice, space: tuple[Parameter, ...], edges: dict[str, Edge]
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
            axes.set_ylabel(to_words(search.metric))
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
    gone = [find_value(space, p, t) for t in search.trials if t.outcome in LOST]
    at_x = _place(p, [v for v in gone if v is not None])
    bottom = axes.get_ylim()[0 if search.mode == "max" else 1]
    axes.scatter(
        at_x, np.full(len(at_x), bottom), s=14, c="0.15", marker="x", linewidths=0.8, **many
    )
    _draw_isolation(axes, search, space, p)
    best = find_value(space, p, choice.winner)
    if best is not None:
        score = choice.winner.metrics["score"]
        axes.scatter(
            _place(p, [best]),
            [score],
            s=95,
            c=RED,
            marker="*",
            edgecolors="white",
            linewidths=0.6,
            zorder=5,
        )
    axes.set_title(p.name)
    _set_x_axis(axes, p)


def _find_points(
    space: tuple[Parameter, ...], p: Parameter, trials: Sequence[TrialRecord]
) -> tuple[Any, Any]:
    scored = [t for t in trials if is_finite(t.metrics.get("score"))]
    pairs = [(v, t.metrics["score"]) for t in scored if (v := find_value(space, p, t)) is not None]
    return _place(p, [v for v, _ in pairs]), np.array([score for _, score in pairs], dtype=float)


def _place(p: Parameter, values: Sequence[Any]) -> Any:
    if p.choices:
        # Trials with the same value side by side, at random.
        spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(values))
        return np.array([p.choices.index(v) for v in values], dtype=float) + spread
    return np.array(values, dtype=float)


def _draw_isolation(
    axes: Axes, search: Search, space: tuple[Parameter, ...], p: Parameter
) -> None:
    trials = [t for t in search.trials if t.outcome == "complete"]
    best: dict[int, tuple[float, float]] = {}  # bin: (value, score)
    counts: Counter[int] = Counter()
    for trial in trials:
        v, score = find_value(space, p, trial), trial.metrics.get("score")
        if v is None or not is_finite(score) or score is None:
            continue
        at = p.find_position(v)
        cell = p.choices.index(v) if p.choices else min(BINS - 1, int(at * BINS))
        counts[cell] += 1
        sign = 1 if search.mode == "max" else -1
        if cell not in best or sign * score > sign * best[cell][1]:
            best[cell] = (v, score)
    best = {cell: best[cell] for cell in sorted(best) if counts[cell] >= FEWEST}
    if p.choices:
        for cell, (_, score) in best.items():
            axes.plot([cell - 0.3, cell + 0.3], [score] * 2, color="black", lw=1.6)
        return
    if len(best) < FEWEST:
        return
    # A bin with too few trials interrupts the line.
    line = [best.get(cell, (np.nan, np.nan)) for cell in range(BINS)]
    axes.plot(*zip(*line, strict=True), color="black", lw=1.2, alpha=0.85)


def _set_x_axis(axes: Axes, p: Parameter) -> None:
    if p.choices:
        long = max(len(choice) for choice in p.choices) * len(p.choices) > 28
        axes.set_xticks(
            range(len(p.choices)),
            [choice[:18] for choice in p.choices],
            rotation=30 if long else 0,
            ha="right" if long else "center",
        )
        axes.set_xlim(-0.5, len(p.choices) - 0.5)
        axes.grid(False, axis="x")
        return
    ends = np.array([p.low, p.high])
    if p.log:
        pad = (p.high / p.low) ** 0.03
        axes.set_xlim(p.low / pad, p.high * pad)
        set_log_axis(axes, "x")
    else:
        pad = 0.03 * (p.high - p.low)
        axes.set_xlim(ends[0] - pad, ends[1] + pad)
        if p.whole:
            axes.locator_params(axis="x", integer=True, nbins=6)
        else:
            axes.locator_params(axis="x", nbins=5)


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


def _format_row(
    space: tuple[Parameter, ...], p: Parameter, choice: Choice, edge: Edge
) -> tuple[str, ...]:
    best = find_value(space, p, choice.winner)
    winner = "" if best is None else best if p.choices else f"{best:.3g}"
    if p.choices:
        return p.name, ", ".join(p.choices), winner, edge.span, "", ""
    scale = ", log" if p.log else f", step {p.step:g}" if p.step and p.step != 1 else ""
    ends = (f"{edge.at_low}", f"{edge.at_high}") if p.declared else ("", "")
    return p.name, f"{p.low:g} to {p.high:g}{scale}", winner, edge.span, *ends


def _format_lost(space: tuple[Parameter, ...], p: Parameter, search: Search) -> str:
    cells: dict[str, list[bool]] = {}
    thirds = ("low", "middle", "high")
    names = p.choices or thirds
    for trial in search.trials:
        v = find_value(space, p, trial)
        if v is not None:
            name = v if p.choices else thirds[min(2, int(p.find_position(v) * 3))]
            cells.setdefault(name, []).append(trial.outcome in LOST)
    shares = [
        f"{name}: {sum(cells[name]) / len(cells[name]) * 100:.0f} %"
        for name in names
        if name in cells
    ]
    return ", ".join(shares) if len(shares) > 1 else ""
