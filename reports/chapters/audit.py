"""Check of early stopping: the decisions on record, and a control group that was never stopped."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from reports.chapters.outcomes.chapter import read_rungs
from reports.numbers.statistics import is_finite
from reports.read.records import Tracker, read_curves
from reports.read.winner import Choice, rank_trials
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

FEWEST = 3  # control trials for a rank correlation
FEWEST_INTERVAL = 10  # for its interval, which needs a large sample
KEPT = 3  # ASHA continues one in so many trials


@dataclass(frozen=True)
class Decision:
    """A decision of early stopping, as it was recorded when it was made."""

    report: int
    score: float
    stops: bool


@dataclass(frozen=True)
class Rung:
    """The recorded decisions at a report, and how well the scores there predict later ones.

    `scores` are those of the control trials there, `later` the best of their later reports.
    """

    report: int
    decided: int  # trials
    stopped: int  # of these, without the control group
    scores: dict[int, float]
    later: dict[int, float]
    condemned: frozenset[int]  # control trials that would have been stopped here
    correlation: float  # Spearman's
    low: float
    high: float


def read_decisions(trial: TrialRecord) -> list[Decision]:
    """Return the decisions on a trial; none where its search has not recorded any."""
    try:
        found = json.loads(trial.tags.get("decisions", "[]"))
        return [Decision(int(d["report"]), float(d["score"]), bool(d["stops"])) for d in found]
    except (ValueError, TypeError, KeyError):
        return []


def write_section(tracker: Tracker, search: Search, choice: Choice) -> Section | None:
    """Return decisions, correlations, late bloomers and figure; None without rungs."""
    at = read_rungs(search)
    if not at:
        return None
    control = [
        t for t in rank_trials(search, search.trials) if is_control(t) and t.outcome == "complete"
    ]
    if not any(map(read_decisions, search.trials)):
        return Section("Not available: the search has not recorded its decisions.")
    curves = read_curves(tracker, control, [search.metric])
    rungs = [rung for report in at if (rung := audit_rung(search, curves, report)) is not None]
    rows = tuple(
        (
            f"{rung.report}",
            f"{rung.decided}",
            f"{rung.stopped}",
            f"{len(rung.scores)}",
            f"{len(rung.condemned)}",
            "" if math.isnan(rung.correlation) else f"{rung.correlation:.2f}",
            "" if math.isnan(rung.low) else f"{rung.low:.2f} to {rung.high:.2f}",
        )
        for rung in rungs
    )
    header = (
        "rung (report)",
        "decided",
        "stopped",
        "control trials",
        "would have stopped",
        "rank correlation",
        "95 % interval",
    )
    intro = (
        "The decisions of ASHA as they were recorded when they were made, each against the trials "
        "that had reached the rung by then."
    )
    if search.tags.get("scheduler") == "promotion":
        intro += " Of a trial that was paused and went on, the later decision counts."
    table = to_markdown(Table(header, rows, "lrrrrrr"))
    if len(control) < FEWEST:
        return Section(
            join_paragraphs(
                intro,
                table,
                f"Whether early stopping lost good trials cannot be checked: "
                f"{format_count(len(control), 'control trial')} ran to the end, and {FEWEST} are "
                "needed. `--control 4` adds such a group, whose trials are never stopped.",
            )
        )
    drawn = [rung for rung in rungs if len(rung.later) >= FEWEST]
    text = join_paragraphs(
        f"{intro} {format_count(len(control), 'control trial')} ran to the end regardless of the "
        "decisions on them. Spearman's rank correlation is the one between their scores at the "
        "rung and the best of their later reports (interval: Bonett and Wright, 2000, from "
        f"{FEWEST_INTERVAL} control trials on).",
        table,
        describe_late_bloomers(search, choice, control),
        embed_figure("asha_audit", "Best later scores against scores at the rungs")
        if drawn
        else None,
        "Outliers are drawn at the edge of their panel." if drawn else None,
    )
    return Section(text, {"asha_audit": draw_audit(search, drawn)} if drawn else {})


def is_control(trial: TrialRecord) -> bool:
    """Return whether a trial is one of the control group."""
    return trial.tags.get("control") == "yes"


def audit_rung(search: Search, control: Sequence[TrialRecord], report: int) -> Rung | None:
    """Return the decisions at a rung; None where none is recorded. `control` have curves."""
    decisions = {t: d for t in search.trials for d in read_decisions(t) if d.report == report}
    if not decisions:
        return None
    numbers = {t.number for t in control}
    judged = {t.number: d for t, d in decisions.items() if t.number in numbers}
    later = {
        t.number: value
        for t in control
        if t.number in judged and (value := _find_later(search, t, report)) is not None
    }
    both = [n for n in judged if n in later]
    rho, low, high = rank_correlation([judged[n].score for n in both], [later[n] for n in both])
    return Rung(
        report,
        len(decisions),
        sum(d.stops and not is_control(t) for t, d in decisions.items()),
        {n: d.score for n, d in judged.items()},
        later,
        frozenset(n for n, d in judged.items() if d.stops),
        rho,
        low,
        high,
    )


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> tuple[float, float, float]:
    """Return Spearman's correlation and its 95 % interval (Bonett and Wright, 2000) or nan.

    The interval is unknown for fewer than FEWEST_INTERVAL values, or where the ranks agree
    completely.
    """
    if len(x) < FEWEST or len(set(x)) < 2 or len(set(y)) < 2:
        return math.nan, math.nan, math.nan
    # Not scipy.stats, whose import takes a second of CPU.
    rho = float(np.corrcoef(pd.Series(x).rank(), pd.Series(y).rank())[0, 1])
    if len(x) < FEWEST_INTERVAL or abs(rho) > 1 - 1e-9:
        return rho, math.nan, math.nan
    half = 1.96 * math.sqrt((1 + rho**2 / 2) / (len(x) - 3))
    at = math.atanh(rho)
    return rho, math.tanh(at - half), math.tanh(at + half)


def find_late_bloomers(
    control: Sequence[TrialRecord],
) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """Return the control trials that would have been stopped, and the late bloomers of these.

    A late bloomer ends in the best third of the control group, which `control` has best first:
    of these trials alone it is known how all of them would have ended.
    """
    condemned = [t for t in control if any(d.stops for d in read_decisions(t))]
    best = control[: math.ceil(len(control) / KEPT)]
    return condemned, [t for t in condemned if t in best]


def describe_late_bloomers(search: Search, choice: Choice, control: Sequence[TrialRecord]) -> str:
    """Return what would have been stopped of the control group, and what of it ended well."""
    condemned, late = find_late_bloomers(control)
    if not condemned:
        return "None of them would have been stopped."
    text = (
        f"{len(condemned)} of the {len(control)} would have been stopped. **Good trials among "
        f"them: {len(late)}**"
    )
    if late:
        names = join_words([f"{t.number}" for t in sorted(late, key=lambda t: t.number)])
        text += f" (trial {names}): they ended in the best third of the control group."
    else:
        text += ": none of these ended in the best third of the control group."
    if choice.winner in condemned:
        text += (
            f" **The winner, trial {choice.winner.number}, would have been stopped**: it ran "
            "to the end since it is in the control group."
        )
    return text


def draw_audit(search: Search, rungs: Sequence[Rung]) -> Figure:
    """Return a panel per rung: the best later score against the score there."""
    up = find_score_limits([v for rung in rungs for v in rung.later.values()], search.mode)
    with figure_style():
        figure = create_figure(search, 2.5 * len(rungs) + 0.7, 2.7)
        panels = figure.subplots(1, len(rungs), squeeze=False, sharey=True)[0]
        for axes, rung in zip(panels, rungs, strict=True):
            across = find_score_limits([*rung.scores.values()], search.mode)
            for stops, colour, mark, label in (
                (False, BLUE, "o", "would continue"),
                (True, RED, "X", "would have stopped"),
            ):
                numbers = [n for n in rung.later if (n in rung.condemned) == stops]
                axes.scatter(
                    np.clip([rung.scores[n] for n in numbers], *across),
                    np.clip([rung.later[n] for n in numbers], *up),
                    s=30,
                    c=colour,
                    marker=mark,
                    edgecolors="white",
                    linewidths=0.5,
                    label=label,
                )
            axes.set_xlabel(f"{label_axis(search.metric)}\nat report {rung.report}")
            axes.locator_params(axis="x", nbins=4)
            format_score_axis(axes.xaxis, search.metric)
            axes.margins(0.08)
        panels[0].set_ylabel(label_axis(search.metric, "best later "))
        format_score_axis(panels[0].yaxis, search.metric)
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=2)
    return figure


def _find_later(search: Search, trial: TrialRecord, report: int) -> float | None:
    best = max if search.mode == "max" else min
    later = [v for at, v in trial.curves.get(search.metric, ()) if at > report and is_finite(v)]
    return best(later) if later else None
