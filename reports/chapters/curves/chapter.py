"""Training curves: metrics over reports, as reported and smoothed, per trial or setting."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from reports.chapters.comparison.groups import Group, group_trials, is_repeated
from reports.chapters.curves.by_arm import (
    MOST,
    choose_marker,
    draw_arm_curves,
    find_drawable,
    mark_gaps,
    write_arm_table,
)
from reports.chapters.curves.chart import make_chart
from reports.numbers.statistics import SMOOTHED_FROM, is_finite, rank_by, smooth, thin_out
from reports.read.records import Tracker, read_curves
from reports.read.winner import Choice
from reports.records import Curve, Search, TrialRecord
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import (
    RED,
    choose_score_colours,
    create_figure,
    figure_style,
    find_extend,
    format_score_axis,
    label_axis,
    set_log_axis,
)
from reports.write.tables import format_count, is_share

DRAWN = 60  # trials in the figure; each needs a request per metric


def write_section(tracker: Tracker, search: Search, choice: Choice) -> Section | None:
    """Return curves of the best and some other trials, or of settings repeated over seeds.

    None if no trial has two reports.
    """
    arms = group_trials(search)
    if is_repeated(arms) and 1 < len(arms) <= MOST:
        return _write_arms(tracker, search, arms)
    candidates = set(choice.candidates)
    others = [trial for trial in search.trials if trial not in candidates]
    keys = find_curve_metrics(search)
    drawn = thin_out([*choice.candidates, *others], DRAWN)
    default = search.default
    drawn += [default] if default and default not in drawn else []
    trials = read_curves(tracker, drawn, keys)
    figure = draw_training_curves(search, trials, choice.winner.number, keys)
    if figure is None:
        return None
    text = (
        f"{embed_figure('training_curves', 'Training curves of the trials')}\n\n"
        f"{describe_ends(choice)}One line per trial, from green to violet for better "
        f"scores; the winner is red{', the default dashed' if default else ''}. Outliers may be "
        "outside the axes."
    )
    if any(len(c) >= SMOOTHED_FROM for trial in trials for c in trial.curves.values()):
        text += " Thick lines are smoothed (Savitzky-Golay filter, over a quarter of the curve)."
    left_out = len(search.trials) - sum(any(trial.curves.values()) for trial in trials)
    if left_out:
        text += f" {format_count(left_out, 'trial')} of {len(search.trials):,} not drawn."
    shown = [key for key in keys if any(len(t.curves.get(key, ())) > 1 for t in trials)]
    chart = make_chart(search, trials, choice.winner.number, shown)
    return Section(text, {"training_curves": figure}, charts={"training_curves": chart})


def describe_ends(choice: Choice) -> str:
    """Return how many complete trials were still improving at their end; empty if none is."""
    ended = [t for t in choice.candidates if t.outcome == "complete" and t.reports > 1]
    late = sum(trial.metrics.get("best_report") == trial.reports for trial in ended)
    if not ended:
        return ""
    advice = ": a longer budget may improve them" if late * 2 > len(ended) else ""
    have = "had its best score at its" if late == 1 else "had their best scores at their"
    return (
        f"**{late} of {format_count(len(ended), 'complete trial')} {have} last report{advice}.** "
    )


def _write_arms(tracker: Tracker, search: Search, arms: Sequence[Group]) -> Section | None:
    keys = find_curve_metrics(search)
    each = max(1, DRAWN // len(arms))
    every = [list(dict.fromkeys((*group.trials, *group.tried))) for group in arms]
    kept = [trial for trials in every for trial in trials[:each]]
    trials = read_curves(tracker, kept, keys)
    figure = draw_arm_curves(search, arms, trials, keys)
    if figure is None:
        return None
    text = (
        f"{embed_figure('training_curves', 'Training curves of the compared settings')}\n\n"
        "One colour per setting: thin lines are single runs as reported, thick lines the means of "
        f"complete runs over seeds, smoothed if they have at least {SMOOTHED_FROM} reports "
        "(Savitzky-Golay filter, quadratic, over a quarter of the curve and at least five "
        "reports)."
    )
    left_out = len(search.trials) - len(kept)
    if left_out:
        text += f" {format_count(left_out, 'trial')} of {len(search.trials):,} not drawn."
    table = None if is_share(search.metric) else write_arm_table(search, arms, trials)
    return Section(join_paragraphs(text, table), {"training_curves": figure})


def find_curve_metrics(search: Search) -> tuple[str, ...]:
    """Return the metrics that have a panel: the metric of the search and the training loss."""
    logged = {key for trial in search.trials for key in trial.reported}
    wanted = (search.metric, "train_loss")
    return tuple(key for key in dict.fromkeys(wanted) if key in logged)


def draw_training_curves(
    search: Search, trials: Sequence[TrialRecord], winner: int, keys: Sequence[str]
) -> Figure | None:
    """Return metrics over reports, one line per trial, coloured by score; `winner` is red.

    None if no trial has two reports.
    """
    keys = [
        key for key in keys if any(len(find_drawable(t.curves.get(key, ()))) > 1 for t in trials)
    ]
    scores = [t.metrics["score"] for t in trials if is_finite(t.metrics.get("score"))]
    if not keys or not scores:
        return None
    colours, norm = choose_score_colours(scores, search.mode)
    with figure_style():
        figure = create_figure(search, 4.1 * len(keys) + 0.9, 3.3)
        panels = figure.subplots(1, len(keys), squeeze=False)[0]
        for axes, key in zip(panels, keys, strict=True):
            _draw_lines(axes, search, trials, winner, key, colours, norm)
            _set_limits(axes, [find_drawable(trial.curves.get(key, ())) for trial in trials], key)
        if panels[0].get_legend_handles_labels()[0]:
            panels[0].legend(loc="best")
        bar = figure.colorbar(
            ScalarMappable(norm, colours),
            ax=list(panels),
            label=f"{label_axis(search.metric, 'best ')} of the trial",
            extend=find_extend(scores, norm),
            pad=0.02,
        )
        format_score_axis(bar.ax.yaxis, search.metric)
    return figure


def _draw_lines(
    axes: Axes,
    search: Search,
    trials: Sequence[TrialRecord],
    winner: int,
    key: str,
    colours: Colormap,
    norm: Normalize,
) -> None:
    scored = [t for t in trials if is_finite(t.metrics.get("score")) and t.number != winner]
    worst_first = rank_by(scored, lambda t: t.metrics["score"], search.mode)[::-1]
    default = search.default.number if search.default else None
    # The default is drawn over the others, and under the winner.
    worst_first.sort(key=lambda t: t.number == default)
    for trial in [*worst_first, *(t for t in trials if t.number == winner)]:
        curve = mark_gaps(trial.curves.get(key, ()))
        if not find_drawable(curve):
            continue
        best, second = trial.number == winner, trial.number == default != winner
        colour = RED if best else "black" if second else colours(norm(trial.metrics["score"]))
        name = "winner" if best else "default" if second else None
        label = name and f"{name} (trial {trial.number})"
        dashes = "--" if second else "-"
        steps, values = zip(*curve, strict=True)
        dot = choose_marker(curve)
        smoothed = None if dot else smooth(values)
        if smoothed is None:
            axes.plot(
                steps, values, dashes, color=colour, lw=2 if best else 1, marker=dot, label=label
            )
            continue
        axes.plot(steps, values, color=colour, lw=0.5, alpha=0.9 if best else 0.45)
        axes.plot(steps, smoothed, dashes, color=colour, lw=2.2 if best else 1.2, label=label)


def _set_limits(axes: Axes, curves: Sequence[Curve], key: str) -> None:
    values = np.array([value for curve in curves for _, value in curve])
    low, high = values.min(), values.max()
    if is_share(key):
        # A few trials that learn nothing would leave the others too little space.
        low = max(low, 2 * np.quantile(values, 0.2) - high)
        format_score_axis(axes.yaxis, key)
    elif low > 0 and high / low > 30:
        set_log_axis(axes, "y")
    elif values.size > 20:
        high = min(high, np.quantile(values, 0.98))
    if axes.get_yscale() == "linear" and high > low:
        margin = 0.04 * (high - low)
        axes.set_ylim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("report")
    axes.set_ylabel(label_axis(key))
