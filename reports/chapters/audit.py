"""Check of early stopping with a control group: trials that were never stopped."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from reports.chapters.outcomes.chapter import read_rungs
from reports.numbers.statistics import is_finite, sample_evenly
from reports.read.records import Tracker, read_curves
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import (
    BLUE,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    label_axis,
)
from reports.write.tables import Table, format_count, join_words, to_markdown

COMPARED = 100  # other trials whose scores at the rungs are read, one request each
FEWEST = 3  # control trials for a rank correlation


@dataclass(frozen=True)
class Rung:
    """A rung: the scores of the control trials there, and the cutoff of ASHA."""

    report: int
    scores: dict[int, float]  # trial: the metric at this report
    cutoff: float  # ASHA continues trials that are at least as good
    correlation: float  # Spearman, with the final scores
    low: float
    high: float


def write_section(tracker: Tracker, search: Search, choice: Choice) -> Section | None:
    """Return correlations, late bloomers and figure; None without early stopping by ASHA."""
    at = read_rungs(search)
    if search.tags.get("scheduler") != "asha" or not at:
        return None
    control = [
        t
        for t in search.trials
        if t.tags.get("control") == "yes"
        and t.outcome == "complete"
        and is_finite(t.metrics.get("score"))
    ]
    if len(control) < FEWEST:
        return Section(
            f"Not available: {format_count(len(control), 'control trial')} ran to the end. "
            f"Whether early stopping lost good trials can be checked with at least {FEWEST} "
            "trials that are never stopped: `--control 4` adds such a group."
        )
    others = [t for t in search.trials if t not in control and t.reports >= at[0]]
    sample = sample_evenly(others, COMPARED)
    compared = read_curves(tracker, sample, [search.metric])
    control_curves = read_curves(tracker, control, [search.metric])
    eta = at[1] / at[0] if len(at) > 1 else 3.0
    rungs = [rung for r in at if (rung := audit_rung(search, control_curves, compared, r, eta))]
    if not rungs:
        return None
    rows = tuple(
        (
            f"{rung.report}",
            f"{len(rung.scores)}",
            "unknown" if math.isnan(rung.correlation) else f"{rung.correlation:.2f}",
            "" if math.isnan(rung.low) else f"{rung.low:.2f} to {rung.high:.2f}",
            f"{len(find_stopped(search, rung))}",
        )
        for rung in rungs
    )
    header = ("rung (report)", "control trials", "rank correlation", "95 % interval", "would stop")
    among = (
        "all trials"
        if len(sample) == len(others)
        else f"the control trials and {len(sample):,} of the {len(others):,} others (spread "
        "evenly over the search)"
    )
    text = join_paragraphs(
        f"{format_count(len(control), 'control trial')} ran to the end regardless of their scores "
        "at the rungs. Spearman's rank correlation between the score at a rung and the final "
        "score shows how well the rung predicts it (interval: Bonett and Wright, 2000). *Would "
        f"stop* counts control trials that are not among the best 1/{eta:g} of {among} with a "
        "score at that rung, which is ASHA's rule.",
        to_markdown(Table(header, rows, "lrrrr")),
        describe_late_bloomers(search, choice, control, rungs),
        embed_figure("asha_audit", "Final scores against scores at the rungs"),
        "Outliers are drawn at the edge of their panel.",
    )
    return Section(text, {"asha_audit": draw_audit(search, control, rungs)})


def audit_rung(
    search: Search,
    control: Sequence[TrialRecord],
    others: Sequence[TrialRecord],
    report: int,
    eta: float,
) -> Rung | None:
    """Return a rung; None if fewer than FEWEST control trials have a score at that report."""
    scores = {
        t.number: value
        for t in control
        if (value := _find_value(t, search.metric, report)) is not None
    }
    if len(scores) < FEWEST:
        return None
    recorded = [*scores.values()]
    recorded += [v for t in others if (v := _find_value(t, search.metric, report)) is not None]
    share = 1 - 1 / eta if search.mode == "max" else 1 / eta
    final = [t.metrics["score"] for t in control if t.number in scores]
    rho, low, high = rank_correlation(list(scores.values()), final)
    return Rung(report, scores, float(np.quantile(recorded, share)), rho, low, high)


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Return Spearman's correlation and its 95 % interval (Bonett and Wright, 2000) or nan."""
    if len(x) < FEWEST or len(set(x)) < 2 or len(set(y)) < 2:
        return math.nan, math.nan, math.nan
    rho = float(spearmanr(x, y).statistic)
    if len(x) < 4:
        return rho, math.nan, math.nan
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    at = math.atanh(max(-0.999999, min(0.999999, rho)))
    return rho, math.tanh(at - half), math.tanh(at + half)


def find_stopped(search: Search, rung: Rung) -> list[int]:
    """Return the control trials that ASHA would have stopped at this rung."""
    sign = 1 if search.mode == "max" else -1
    return [n for n, value in rung.scores.items() if sign * value < sign * rung.cutoff]


def find_late_bloomers(
    search: Search, control: Sequence[TrialRecord], rungs: Sequence[Rung]
) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Return the control trials that ASHA would have stopped, and the late bloomers of these.

    A late bloomer ends at least as good as the median complete trial outside the control group.
    """
    stopped = {n for rung in rungs for n in find_stopped(search, rung)}
    would_stop = [t for t in control if t.number in stopped]
    inside = set(control)
    others = [
        t.metrics["score"]
        for t in search.trials
        if t.outcome == "complete" and t not in inside and is_finite(t.metrics.get("score"))
    ]
    if not others:
        return would_stop, []
    sign = 1 if search.mode == "max" else -1
    bar = sign * float(np.median(others))
    return would_stop, [t for t in would_stop if sign * t.metrics["score"] >= bar]


def describe_late_bloomers(
    search: Search, choice: Choice, control: Sequence[TrialRecord], rungs: Sequence[Rung]
) -> str:
    """Return what ASHA would have stopped, and which of these trials ended well."""
    would_stop, late = find_late_bloomers(search, control, rungs)
    if not would_stop:
        return "ASHA would have stopped none of them."
    text = (
        f"ASHA would have stopped {len(would_stop)} of the {len(control)}. **Late bloomers: "
        f"{len(late)}**"
    )
    if not late:
        return (
            f"{text}: none of these ended at least as good as the median complete trial outside "
            "the control group."
        )
    names = join_words([f"{t.number}" for t in late])
    text += (
        f" (trial {names}): they ended at least as good as the median complete trial outside "
        "the control group."
    )
    if choice.winner in late:
        text += " The winner is one of them: without the control group it would have been stopped."
    return text


def draw_audit(search: Search, control: Sequence[TrialRecord], rungs: Sequence[Rung]) -> Figure:
    """Return a panel per rung: final score against the score there, with ASHA's cutoff."""
    final = {t.number: t.metrics["score"] for t in control}
    up = find_score_limits(list(final.values()), search.mode)
    with figure_style():
        figure = create_figure(search, 2.5 * len(rungs) + 0.7, 2.7)
        panels = figure.subplots(1, len(rungs), squeeze=False, sharey=True)[0]
        for axes, rung in zip(panels, rungs, strict=True):
            stopped = set(find_stopped(search, rung))
            across = find_score_limits([*rung.scores.values(), rung.cutoff], search.mode)
            for numbers, colour, mark, label in (
                ([n for n in rung.scores if n not in stopped], BLUE, "o", "would continue"),
                ([n for n in rung.scores if n in stopped], RED, "X", "would stop"),
            ):
                axes.scatter(
                    np.clip([rung.scores[n] for n in numbers], *across),
                    np.clip([final[n] for n in numbers], *up),
                    s=30,
                    c=colour,
                    marker=mark,
                    edgecolors="white",
                    linewidths=0.5,
                    label=label,
                )
            axes.axvline(rung.cutoff, color="0.35", lw=1, ls="--", label="ASHA's cutoff")
            axes.set_xlabel(f"{label_axis(search.metric)}\nat report {rung.report}")
            axes.locator_params(axis="x", nbins=4)
            format_score_axis(axes.xaxis, search.metric)
            axes.margins(0.08)
        panels[0].set_ylabel(label_axis(search.metric, "final "))
        format_score_axis(panels[0].yaxis, search.metric)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=3)
    return figure


def _find_value(trial: TrialRecord, metric: str, report: int) -> float | None:
    value = dict(trial.curves.get(metric, ())).get(report)
    return value if is_finite(value) else None
