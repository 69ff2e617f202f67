"""Parallel coordinates: one line per trial through its hyperparameters and its score."""

from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from reports.numbers.statistics import is_finite, rank_by, sample_evenly, thin_out
from reports.read.space import Parameter, find_any_value, merge_branches
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.labels import to_label
from reports.write.safe import format_code
from reports.write.sections import Section, embed_figure
from reports.write.style import (
    RASTERIZE_FROM,
    RED,
    choose_score_colours,
    create_figure,
    figure_style,
    find_score_limits,
    format_percent,
    to_words,
)
from reports.write.tables import format_count, is_share, join_words

AXES = 9  # hyperparameters in one readable figure
TICKS = 20  # choices of one hyperparameter
NAMED = 12  # of the others
DRAWN = 1000
ABSENT = -0.12  # height of a line at an axis for which the trial has no value


def write_section(search: Search, choice: Choice, space: tuple[Parameter, ...]) -> Section | None:
    """Return the figure; None for fewer than two hyperparameters or two scores."""
    fields = merge_branches(space)
    trials = [t for t in search.trials if is_finite(t.metrics.get("score"))]
    if len(fields) < 2 or len(trials) < 2:
        return None
    best_first = rank_by(trials, lambda trial: trial.metrics["score"], search.mode)
    drawn = thin_out(best_first, DRAWN)
    left_out = [format_code(p.field) for p in fields[AXES:][:NAMED]]
    left_out += [f"{len(fields) - AXES - NAMED} more"] if len(fields) > AXES + NAMED else []
    text = (
        f"{embed_figure('parallel_coordinates', 'Hyperparameters of all trials as lines')}\n\n"
        "One line per trial, from green to violet for better scores, the winner in red, thin if "
        "not complete. "
        "Below an axis, a trial has no value for it."
    )
    low, high = _find_ends([t.metrics["score"] for t in trials], search.mode)
    beyond = sum(not low <= t.metrics["score"] <= high for t in trials)
    if beyond:
        way, mark = ("lower", "≤") if search.mode == "max" else ("higher", "≥")
        text += (
            f" {format_count(beyond, 'trial')} with {way} scores than the range of the last axis: "
            f"drawn at its end, marked {mark}."
        )
    if left_out:
        text += f" Not drawn, to keep the figure readable: {join_words(left_out)}."
    if len(drawn) < len(trials):
        text += (
            f" {len(drawn):,} of {len(trials):,} trials are drawn: half of them the best, the "
            "others spread evenly."
        )
    figure = draw_parallel_coordinates(search, choice, space, fields[:AXES], drawn)
    return Section(text, {"parallel_coordinates": figure})


def draw_parallel_coordinates(
    search: Search,
    choice: Choice,
    space: tuple[Parameter, ...],
    fields: tuple[Parameter, ...],
    best_first: list[TrialRecord],
) -> Figure:
    """Return lines through the positions of the values in their ranges, best on top."""
    scores = np.array([t.metrics["score"] for t in best_first])
    low, high = _find_ends(list(scores), search.mode)
    colours, norm = choose_score_colours(list(scores), search.mode)
    lines = []
    for trial, score in zip(best_first, scores, strict=True):
        heights = [_find_height(space, p, trial) for p in fields]
        heights.append(float(np.clip((score - low) / ((high - low) or 1.0), 0, 1)))
        lines.append(np.column_stack([np.arange(len(heights)), heights]))
    complete = np.array([t.outcome == "complete" for t in best_first])
    winner = next(i for i, t in enumerate(best_first) if t.number == choice.winner.number)
    with figure_style():
        figure = create_figure(search, max(5.5, 1.05 * (len(fields) + 1)), 3.6)
        axes = figure.subplots()
        axes.add_collection(
            LineCollection(
                lines[::-1],
                colors=colours(norm(scores))[::-1],
                linewidths=np.where(complete, 1.0, 0.4)[::-1],
                alpha=0.75 if len(lines) < 200 else 0.4,
                rasterized=len(lines) * len(fields) > RASTERIZE_FROM,
            )
        )
        axes.plot(*lines[winner].T, color=RED, lw=2.2)
        for x, p in enumerate(fields):
            axes.axvline(x, 0, 1, color="0.35", lw=0.8)
            _draw_ticks(axes, x, _find_labels(p))
        axes.axvline(len(fields), 0, 1, color="0.35", lw=0.8)
        signs = ("≤ " if scores.min() < low else "", "≥ " if scores.max() > high else "")
        ends = [
            f"{sign}{_format_score_end(at, search)}"
            for sign, at in zip(signs, (low, high), strict=True)
        ]
        _draw_ticks(axes, len(fields), [(0, ends[0]), (1, ends[1])])
        names = [*(p.field for p in fields), search.metric]
        broken = [to_label(to_words(name), 48).replace(" ", "\n") for name in names]
        axes.set_xticks(range(len(names)), broken)
        axes.set_xlim(-0.25, len(fields) + 0.45)
        axes.set_ylim(-0.17, 1.06)
        axes.set_yticks([])
        axes.grid(False)
        axes.spines[["left", "bottom"]].set_visible(False)
        axes.tick_params(axis="x", length=0)
    return figure


def _find_ends(scores: Sequence[float], mode: str) -> tuple[float, float]:
    low, high = find_score_limits(scores, mode)
    return max(low, min(scores)), min(high, max(scores))


def _find_height(space: tuple[Parameter, ...], field: Parameter, trial: TrialRecord) -> float:
    for p in space:
        if p.field == field.field and (found := find_any_value(space, p, trial)) is not None:
            return float(np.clip(field.find_position(found), 0, 1))
    return ABSENT


def _find_labels(p: Parameter) -> list[tuple[float, str]]:
    if p.choices:
        shown = sample_evenly(p.choices, TICKS)
        return [(p.find_position(choice), to_label(choice, 12)) for choice in shown]
    return [(0.0, f"{p.low:.3g}"), (1.0, f"{p.high:.3g}")]


def _draw_ticks(axes: object, x: int, labels: list[tuple[float, str]]) -> None:
    for at, text in labels:
        axes.annotate(  # type: ignore[attr-defined]
            text,
            (x, at),
            (3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.6},
        )


def _format_score_end(value: float, search: Search) -> str:
    return format_percent(round(value, 4)) if is_share(search.metric) else f"{value:.3g}"
