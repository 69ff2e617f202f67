"""Score against the number of parameters: what does a smaller network cost?"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.sections import Section, paragraphs, picture
from reports.write.style import (
    INK,
    MANY,
    MARK,
    empty_figure,
    log_axis,
    score_axis,
    score_range,
    style,
    words,
)
from reports.write.tables import Table, markdown, score_text

FRONT_SHOWN = 12


def section(search: Search, choice: Choice) -> Section | None:
    """Figure and Pareto front; None where all networks had the same size or none is known."""
    by = counted(choice.candidates)
    trials = [t for t in choice.candidates if t.metrics.get(by, 0) > 0]
    if len({t.metrics[by] for t in trials}) < 2:
        return None
    front = pareto(trials, search.mode, by)
    rows = tuple(
        (
            f"{t.number}",
            f"{t.metrics[by]:,.0f}",
            score_text(t.metrics["score"], search.metric),
        )
        for t in front[-FRONT_SHOWN:]
    )
    more = len(front) - FRONT_SHOWN
    text = paragraphs(
        picture("parameters", f"Score against the number of {words(by)}"),
        "One dot per "
        f"{'complete ' if choice.only_complete else ''}trial. The line is the Pareto front: "
        "trials that no trial of their size or smaller beats.",
        markdown(Table(("trial", words(by), search.metric), rows, "lrr"))
        if len(front) > 1
        else f"Here it is a single one: trial {front[0].number}, the best of all, is also the "
        "smallest.",
        f"{more} smaller ones of the front are left out." if more > 0 else None,
    )
    return Section(text, {"parameters": size_figure(search, choice, trials, front, by)})


def counted(trials: Sequence[TrialRecord]) -> str:
    """What is counted: the parameters that are trained, where a search tells them apart."""
    some = any("trainable_parameters" in trial.metrics for trial in trials)
    return "trainable_parameters" if some else "parameters"


def pareto(trials: list[TrialRecord], mode: str, by: str) -> list[TrialRecord]:
    """Trials that none of at most their size beats or equals, the smallest first."""
    sign = 1.0 if mode == "max" else -1.0
    by_size = sorted(trials, key=lambda t: (t.metrics[by], -sign * t.metrics["score"]))
    front: list[TrialRecord] = []
    for trial in by_size:
        if not front or sign * trial.metrics["score"] > sign * front[-1].metrics["score"]:
            front.append(trial)
    return front


def size_figure(
    search: Search, choice: Choice, trials: list[TrialRecord], front: list[TrialRecord], by: str
) -> Figure:
    """Dots with a log axis of sizes."""
    with style():
        figure = empty_figure(search, 5.2, 3.2)
        axes = figure.subplots()
        sizes = np.array([t.metrics[by] for t in trials])
        scores = np.array([t.metrics["score"] for t in trials])
        frame = score_range(scores, search.mode)
        axes.set_ylim(*frame)
        seen = (scores >= frame[0]) & (scores <= frame[1])
        axes.scatter(
            sizes[seen], scores[seen], s=16, c=INK, alpha=0.6, lw=0, rasterized=len(trials) > MANY
        )
        far = sizes[~seen]
        at, mark = (frame[0], "v") if search.mode == "max" else (frame[1], "^")
        axes.scatter(far, np.full(len(far), at), s=14, c="0.55", marker=mark, clip_on=False)
        path = [(t.metrics[by], t.metrics["score"]) for t in front]
        path.append((float(sizes.max()), path[-1][1]))
        axes.step(
            *zip(*path, strict=True), where="post", color="black", lw=1.1, label="Pareto front"
        )
        best = choice.winner
        if best in trials:
            axes.scatter(
                [best.metrics[by]],
                [best.metrics["score"]],
                s=110,
                c=MARK,
                marker="*",
                edgecolors="white",
                linewidths=0.6,
                zorder=5,
                label=f"winner (trial {best.number})",
            )
        pad = (sizes.max() / sizes.min()) ** 0.05
        axes.set_xlim(sizes.min() / pad, sizes.max() * pad)
        log_axis(axes, "x")
        axes.set_xlabel(words(by))
        axes.set_ylabel(words(search.metric))
        score_axis(axes.yaxis, search.metric)
        axes.legend(loc="lower right" if search.mode == "max" else "upper right")
    return figure
