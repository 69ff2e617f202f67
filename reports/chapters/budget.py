"""Expected best validation score of a search of k trials, as a function of k.

Dodge et al. (2019) recommend it; the estimator without replacement is unbiased (Tang et al.,
2020).
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from numpy.typing import NDArray
from scipy.special import gammaln
from scipy.stats import t as student

from reports.chapters.comparison.groups import find_enqueued
from reports.numbers.statistics import is_finite
from reports.read.winner import rank_trials
from reports.records import Search, TrialRecord
from reports.write.sections import Section, embed_figure
from reports.write.style import (
    BLUE,
    RED,
    create_figure,
    figure_style,
    find_score_limits,
    format_score_axis,
    label_axis,
)
from reports.write.tables import format_count

RANDOM = ("random", "qmc")  # samplers that do not depend on the results of earlier trials
FEWEST = 8  # random trials for the estimate
TRUSTED = 0.1  # of the trials: for these budgets the coverage of the interval is 93 to 97 %

Floats = NDArray[np.float64]


def write_section(search: Search) -> Section | None:
    """Return the best score so far, and the expected best if the trials are random.

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
            f" Curve: the expected best of k trials of this {sampler} search, by the unbiased "
            f"estimator over its {format_count(len(drawn), 'random trial')} (drawn without "
            "replacement), with a 95 % interval (jackknife) for k up to "
            f"{_find_trusted(len(drawn))}, beyond which its coverage is too low. Trials without a "
            "score count as the worst one, stopped ones with their best score."
        )
    elif sampler in RANDOM:
        text += (
            f" The expected best of k trials needs {FEWEST} random trials; there are {len(drawn)}."
        )
    else:
        text += (
            f" The expected best of k trials is not shown: the estimator assumes random trials, "
            f"and the sampler ({sampler}) depends on earlier ones."
        )
    return Section(text, {"budget": draw_budget(search, trials, drawn if expect else None)})


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


def expected_best(scores: Sequence[float] | Floats, budgets: Sequence[int]) -> Floats:
    """Return the mean over all subsets of k of the n scores of their maximum, for k in budgets.

    Returns (budgets,); k in 1 .. n. sum_i C(i-1, k-1) / C(n, k) x_(i), Tang et al. (2020), eq. 4.
    """
    x = np.sort(np.asarray(scores, dtype=float))
    return np.array([_find_weights(len(x), k) @ x for k in budgets])


def jackknife_interval(
    scores: Sequence[float] | Floats, budgets: Sequence[int], confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the ends of the jackknife interval of `expected_best`, a U-statistic.

    Arvesen (1969). It is valid for k up to TRUSTED of the n scores: the maximum of most of them
    varies too little between subsets.
    """
    x = np.sort(np.asarray(scores, dtype=float))
    n = len(x)
    low, high = [], []
    for k in budgets:
        less = _find_weights(n - 1, k)
        # Without the j-th smallest, smaller scores keep their rank and larger ones lose one.
        below = np.concatenate([[0.0], np.cumsum(less * x[:-1])])
        above = np.concatenate([np.cumsum((less * x[1:])[::-1])[::-1], [0.0]])
        without = below + above
        error = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
        middle = float(_find_weights(n, k) @ x)
        half = float(student.ppf(0.5 + confidence / 2, n - 1)) * float(error)
        low.append(middle - half)
        high.append(middle + half)
    return np.array(low), np.array(high)


def draw_budget(search: Search, trials: Sequence[TrialRecord], drawn: Floats | None) -> Figure:
    """Return the best score so far and, for random scores `drawn`, the expected best."""
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
            n = len(drawn)
            budgets = sorted({int(k) for k in np.geomspace(1, n, 60).round()})
            mean = sign * expected_best(sign * drawn, budgets)
            axes.plot(budgets, mean, color=BLUE, lw=1.8, label="expected best of k random trials")
            trusted = [k for k in budgets if k <= _find_trusted(n)]
            low, high = jackknife_interval(sign * drawn, trusted)
            ends = (sign * low, sign * high)
            axes.fill_between(trusted, *ends, color=BLUE, alpha=0.2, lw=0, label="95 % interval")
            shown += [mean, sign * low, sign * high]
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
        if len(trials) > 20:
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
            axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("trials")
        axes.set_ylabel(label_axis(search.metric, "best "))
        format_score_axis(axes.yaxis, search.metric)
        axes.legend(loc="best")
    return figure


def _find_trusted(n: int) -> int:
    return max(1, int(TRUSTED * n))


def _find_weights(n: int, k: int) -> Floats:
    """Return the probability that the i-th smallest of n is the largest of k of them, (n,)."""
    if not 1 <= k <= n:
        raise ValueError(f"a budget of {k} trials is not between 1 and {n}")
    ranks = np.arange(k, n + 1)

    weights = np.zeros(n)
    weights[k - 1 :] = np.exp(_log_binomial(ranks - 1, k - 1) - _log_binomial(np.array([n]), k))
    return weights


def _log_binomial(n: NDArray[np.int64], k: int) -> Floats:
    result: Floats = gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1)
    return result
