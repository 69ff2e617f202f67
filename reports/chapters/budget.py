"""Best validation score that a search of k trials reaches, as a function of k.

Dodge et al. (2019) recommend such a curve. It shows the median of the best, not its mean: the
median has an interval that holds for every distribution of the scores.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from scipy.special import bdtr

from reports.chapters.comparison.groups import find_enqueued
from reports.numbers.statistics import is_finite
from reports.read.winner import rank_trials
from reports.records import Search, TrialRecord
from reports.write.charts import Chart, describe_trial, format_axis, make_layout
from reports.write.sections import Section, embed_figure
from reports.write.style import (
    BLUE,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    label_axis,
    to_words,
)
from reports.write.tables import format_count

RANDOM = ("random",)  # samplers of independent trials
FEWEST = 8  # random trials for the estimate
LOG_FROM = 20  # more trials have a log axis
LEVELS = (0.025, 0.5, 0.975)  # the ends of the interval and the estimate

Floats = NDArray[np.float64]


def write_section(search: Search) -> Section | None:
    """Return the best score so far, and the median best of k if the trials are random.

    None for fewer than two scores, or if all trials were enqueued: their order has no meaning.
    """
    if len(find_enqueued(search)) == len(search.trials):
        return None
    trials = [t for t in search.trials if t.outcome != "unfinished"]
    if len(rank_trials(search, trials)) < 2:
        return None
    sampler = search.tags.get("sampler", "unknown")
    drawn = find_random_scores(search)
    expect = sampler in RANDOM and len(drawn) >= FEWEST
    text = (
        f"{embed_figure('budget', 'Best validation score against the number of trials')}\n\n"
        "Steps: the best score so far, in the order in which the trials were suggested."
    )
    if expect:
        text += (
            f" Curve: the best of k trials of this {sampler} search in the median, from its "
            f"{format_count(len(drawn), 'random trial')}, with a 95 % interval (of order "
            "statistics) as far as they suffice for one. Trials without a score count as the "
            "worst one, stopped ones with their best score."
        )
    elif sampler in RANDOM:
        text += f" The best of k trials needs {FEWEST} random trials; there are {len(drawn)}."
    else:
        text += (
            " The best of k trials is not shown: the estimator assumes independent trials, "
            f"and those of the sampler ({sampler}) depend on the earlier ones."
        )
    random = drawn if expect else None
    return Section(
        text,
        {"budget": draw_budget(search, trials, random)},
        charts={"budget": make_chart(search, trials, random)},
    )


def find_random_scores(search: Search) -> Floats:
    """Return the scores of the random trials; trials without a score get the worst one.

    The enqueued trials, such as the default configuration, are not random.
    """
    enqueued = int(search.tags["enqueued"]) if search.tags.get("enqueued", "").isdigit() else 1
    trials = [t for t in search.trials if t.number >= enqueued and t.outcome != "unfinished"]
    ranked = set(rank_trials(search, trials))
    scores = [t.metrics["score"] if t in ranked else np.nan for t in trials]
    values = np.array(scores, dtype=float)
    if np.isfinite(values).any():
        worst = np.nanmin(values) if search.mode == "max" else np.nanmax(values)
        values[np.isnan(values)] = worst
    return np.asarray(values[np.isfinite(values)])


def median_best(
    scores: Sequence[float] | Floats, budgets: Sequence[int], levels: Sequence[float] = LEVELS
) -> Floats:
    """Return the median of the best of k independent trials, for k in budgets, with its interval.

    Returns (levels, budgets); by default the ends of the 95 % interval and the estimate between
    them, nan where n scores are too few for a level. The best of k is below the median if all k
    trials are, so the median is the quantile 2^(-1/k) of a single trial. The number of scores
    below that is binomial, whatever their distribution, which gives an exact interval from two
    order statistics (Thompson, 1936); between these it is interpolated (Beran and Hall, 1993).
    """
    x = np.sort(np.asarray(scores, dtype=float))
    n, found = len(x), []
    for k in budgets:
        if not 1 <= k <= n:
            raise ValueError(f"a budget of {k} trials is not between 1 and {n}")
        # The probability that the i-th smallest score is above the quantile.
        above = bdtr(np.arange(n), n, 0.5 ** (1 / k))
        above[-1] = 1 - 0.5 ** (n / k)  # exact: rounded, it may lie below the median at k = n
        found.append(np.interp(levels, above, x, left=np.nan, right=np.nan))
    return np.array(found).T


def make_chart(search: Search, trials: Sequence[TrialRecord], drawn: Floats | None) -> Chart:
    """Return the same lines as `draw_budget`; each step names the trial that makes it."""
    sign = 1.0 if search.mode == "max" else -1.0
    ranked = set(rank_trials(search, trials))
    steps: list[tuple[int, TrialRecord]] = []
    for count, trial in enumerate(trials, 1):
        score = sign * trial.metrics["score"] if trial in ranked else -np.inf
        if (not steps and np.isfinite(score)) or (steps and score > sign * _score(steps[-1][1])):
            steps.append((count, trial))
    steps.append((len(trials), steps[-1][1]))
    data: list[dict[str, Any]] = [
        {
            "name": "best so far",
            "mode": "lines+markers",
            "line": {"color": "#555555", "width": 1.5, "shape": "hv"},
            "x": [count for count, _ in steps],
            "y": [_score(trial) for _, trial in steps],
            "text": [describe_trial(search, trial) for _, trial in steps],
            "hovertemplate": "best of the first %{x:,}: %{y}<br>%{text}<extra></extra>",
        }
    ]
    if drawn is not None:
        budgets = list_budgets(len(drawn))
        low, middle, high = (sign * median_best(sign * drawn, budgets)).tolist()
        band = {"mode": "lines", "hoverinfo": "skip", "line": {"width": 0}, "x": budgets}
        data += [
            {**band, "y": _drop_nan(low), "showlegend": False},
            {
                **{**band, "y": _drop_nan(high), "name": "95 % interval", "fill": "tonexty"},
                "fillcolor": "rgba(0,114,178,0.2)",
            },
            {
                "name": "best of k random trials, median",
                "mode": "lines",
                "line": {"color": BLUE, "width": 2},
                "x": budgets,
                "y": middle,
                "hovertemplate": "best of %{x:,} in the median: %{y}<extra></extra>",
            },
        ]
    layout = make_layout(search, "trials", f"best {to_words(search.metric)}")
    layout["yaxis"] |= format_axis(search.metric, "best ")
    if len(trials) > LOG_FROM:
        ends = np.log10([0.95, len(trials) * 1.05]).tolist()
        layout["xaxis"] |= {"type": "log", "range": ends, "dtick": "D2"}
    return {"data": [{"type": "scatter", **trace} for trace in data], "layout": layout}


def list_budgets(n: int) -> list[int]:
    """Return the numbers of trials for which the best is estimated from n scores."""
    return sorted({int(k) for k in np.geomspace(1, n, 60).round()})


def _score(trial: TrialRecord) -> float:
    return trial.metrics["score"]


def _drop_nan(values: Sequence[float]) -> list[float | None]:
    return [value if np.isfinite(value) else None for value in values]


def draw_budget(search: Search, trials: Sequence[TrialRecord], drawn: Floats | None) -> Figure:
    """Return the best score so far and, for random scores `drawn`, the median best of k."""
    sign = 1.0 if search.mode == "max" else -1.0
    ranked = set(rank_trials(search, trials))
    scores = np.array([sign * t.metrics["score"] if t in ranked else -np.inf for t in trials])
    so_far = np.maximum.accumulate(scores)
    seen = np.isfinite(so_far)
    with figure_style():
        figure = create_figure(search, 5.4, 3.2)
        axes = figure.subplots()
        count = np.arange(1, len(trials) + 1)
        reached = sign * so_far[seen]
        axes.step(count[seen], reached, where="post", color="0.35", lw=1.2, label="best so far")
        shown = [reached]
        if drawn is not None:
            budgets = list_budgets(len(drawn))
            low, middle, high = sign * median_best(sign * drawn, budgets)
            axes.plot(budgets, middle, color=BLUE, lw=1.8, label="best of k random trials, median")
            axes.fill_between(
                budgets, low, high, color=BLUE, alpha=0.2, lw=0, label="95 % interval"
            )
            shown += [ends[np.isfinite(ends)] for ends in (low, middle, high)]
        default = search.default
        if default is not None and is_finite(default.metrics.get("score")):
            shown.append(np.array([default.metrics["score"]]))
        low_end, high_end = find_score_limits(np.concatenate(shown), search.mode)
        axes.set_ylim(low_end, high_end)
        level = default.metrics.get("score") if default is not None else None
        if default is not None and level is not None and low_end < level < high_end:
            name = f"default (trial {default.number})"
            axes.axhline(level, color=RED, lw=1, ls="--", label=name)
        axes.set_xlim(1, max(2, len(trials)))
        if len(trials) > LOG_FROM:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("trials")
        axes.set_ylabel(label_axis(search.metric, "best "))
        format_score_axis(axes.yaxis, search.metric)
        axes.legend(loc="best")
    return figure
