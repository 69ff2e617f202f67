"""Score against the number of parameters, and the Pareto front of both."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.charts import MARKS, Chart, describe_trial, make_layout
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import (
    BLUE,
    RASTERIZE_FROM,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    label_axis,
    set_log_axis,
    to_words,
)
from reports.write.tables import Table, format_score, to_markdown

FRONT_SHOWN = 12  # trials of the front in the table: the largest


def write_section(search: Search, choice: Choice) -> Section | None:
    """Return figure and Pareto front; None if all sizes are equal or unknown."""
    by = find_size_metric(choice.candidates)
    trials = [t for t in choice.candidates if t.metrics.get(by, 0) > 0]
    if len({t.metrics[by] for t in trials}) < 2:
        return None
    front = find_pareto_front(trials, search.mode, by)
    rows = tuple(
        (
            f"{t.number}",
            f"{t.metrics[by]:,.0f}",
            format_score(t.metrics["score"], search.metric),
        )
        for t in front[-FRONT_SHOWN:]
    )
    more = len(front) - FRONT_SHOWN
    text = join_paragraphs(
        embed_figure("parameters", f"Score against the number of {to_words(by)}"),
        "One dot per "
        f"{'complete ' if choice.is_complete else ''}trial. The line is the Pareto front: "
        "trials for which no trial of at most their size has a better score.",
        to_markdown(Table(("trial", to_words(by), search.metric), rows, "lrr"))
        if len(front) > 1
        else f"It is a single trial here: trial {front[0].number}, the one with the best score, "
        "is also the smallest.",
        f"{more} smaller trials of the front are not shown." if more > 0 else None,
    )
    return Section(
        text,
        {"parameters": draw_sizes(search, choice, trials, front, by)},
        charts={"parameters": make_chart(search, choice, trials, front, by)},
    )


def find_size_metric(trials: Sequence[TrialRecord]) -> str:
    """Return the metric of the size: the trainable parameters if they are recorded."""
    some = any("trainable_parameters" in trial.metrics for trial in trials)
    return "trainable_parameters" if some else "parameters"


def find_pareto_front(trials: list[TrialRecord], mode: str, by: str) -> list[TrialRecord]:
    """Return the trials better than all of at most their size, smallest first."""
    sign = 1.0 if mode == "max" else -1.0
    by_size = sorted(trials, key=lambda t: (t.metrics[by], -sign * t.metrics["score"]))
    front: list[TrialRecord] = []
    for trial in by_size:
        if not front or sign * trial.metrics["score"] > sign * front[-1].metrics["score"]:
            front.append(trial)
    return front


def list_front(
    trials: Sequence[TrialRecord], front: Sequence[TrialRecord], by: str
) -> list[tuple[float, float]]:
    """Return the corners of the front, (size, score), up to the size of the largest trial."""
    path = [(t.metrics[by], t.metrics["score"]) for t in front]
    return [*path, (max(t.metrics[by] for t in trials), path[-1][1])]


def make_chart(
    search: Search,
    choice: Choice,
    trials: Sequence[TrialRecord],
    front: Sequence[TrialRecord],
    by: str,
) -> Chart:
    """Return the same points and front as a chart of an HTML page."""
    groups: dict[str, tuple[Sequence[TrialRecord], dict[str, Any]]] = {
        "trial": (
            [t for t in trials if t is not choice.winner],
            {"mode": "markers", "marker": MARKS["complete"]},
        ),
        "winner": (
            [t for t in trials if t is choice.winner],
            {"mode": "markers", "marker": MARKS["winner"]},
        ),
    }
    path = list_front(trials, front, by)
    line = {"color": "#000000", "shape": "hv", "width": 1.5}
    data: list[dict[str, Any]] = [
        {
            **{"type": "scatter", "mode": "lines", "name": "Pareto front", "line": line},
            **{"x": [x for x, _ in path], "y": [y for _, y in path], "hoverinfo": "skip"},
        }
    ]
    data += [
        {
            "type": "scatter",
            "name": name,
            "x": [t.metrics[by] for t in group],
            "y": [t.metrics["score"] for t in group],
            "text": [describe_trial(search, t) for t in group],
            "hovertemplate": "%{x:,} " + html.escape(to_words(by)) + "<br>%{text}<extra></extra>",
            **style,
        }
        for name, (group, style) in groups.items()
        if group
    ]
    layout = make_layout(search, to_words(by), search.metric)
    layout["xaxis"] |= {"type": "log"}
    layout["yaxis"]["range"] = find_score_limits([t.metrics["score"] for t in trials], search.mode)
    return {"data": data, "layout": layout}


def draw_sizes(
    search: Search, choice: Choice, trials: list[TrialRecord], front: list[TrialRecord], by: str
) -> Figure:
    """Return the trials as dots over a log axis of sizes, with the Pareto front."""
    with figure_style():
        figure = create_figure(search, 5.2, 3.2)
        axes = figure.subplots()
        sizes = np.array([t.metrics[by] for t in trials])
        scores = np.array([t.metrics["score"] for t in trials])
        frame = find_score_limits(scores, search.mode)
        axes.set_ylim(*frame)
        seen = (scores >= frame[0]) & (scores <= frame[1])
        axes.scatter(
            sizes[seen],
            scores[seen],
            s=16,
            c=BLUE,
            alpha=0.6,
            lw=0,
            rasterized=len(trials) > RASTERIZE_FROM,
        )
        far = sizes[~seen]
        at, mark = (frame[0], "v") if search.mode == "max" else (frame[1], "^")
        axes.scatter(far, np.full(len(far), at), s=14, c="0.55", marker=mark, clip_on=False)
        path = list_front(trials, front, by)
        axes.step(
            *zip(*path, strict=True), where="post", color="black", lw=1.1, label="Pareto front"
        )
        best = choice.winner
        if best in trials:
            axes.scatter(
                [best.metrics[by]],
                [best.metrics["score"]],
                s=110,
                c=RED,
                marker="*",
                edgecolors="white",
                linewidths=0.6,
                zorder=5,
                label=f"winner (trial {best.number})",
            )
        pad = (sizes.max() / sizes.min()) ** 0.05
        axes.set_xlim(sizes.min() / pad, sizes.max() * pad)
        set_log_axis(axes, "x")
        axes.set_xlabel(label_axis(by))
        axes.set_ylabel(label_axis(search.metric))
        format_score_axis(axes.yaxis, search.metric)
        axes.legend(loc="lower right" if search.mode == "max" else "upper right")
    return figure
