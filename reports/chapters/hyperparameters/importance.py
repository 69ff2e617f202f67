"""Importance of the hyperparameters: Optuna's PED-ANOVA over scores at an equal budget.

After early stopping that is the first rung: the trials that ran to the end are the good ones,
and what made them good no longer varies between them.
Optuna's evaluator takes half a second to import, which a report of few trials does not need.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from reports.chapters.outcomes.chapter import get_full_length, read_rungs
from reports.numbers.statistics import is_finite
from reports.read.records import Tracker, read_curves
from reports.read.space import Parameter, find_value
from reports.records import Search, TrialRecord
from reports.write.labels import to_label
from reports.write.safe import format_code, shorten
from reports.write.sections import Section, embed_figure
from reports.write.style import BLUE, create_figure, figure_style
from reports.write.tables import NAME, Table, format_count, join_words

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

FEWEST = 80  # trials; fewer often name another hyperparameter first
GOOD = 0.2  # of the trials are the good ones whose values are explained; 0.1 is noisier
HALVES = 20  # random halves of the trials, for the spread
MOST = 300  # the last trials that are used; more cost time and change little
BARS = 30  # hyperparameters in the figure
PER_CHOICE = 2  # trials, for an importance of a categorical hyperparameter
AT_RUNG = (
    " Only there do all trials have a score: those that ran to the end were selected by it, and "
    "what distinguishes good from bad trials varies less between them."
)
RESAMPLED = 60  # hyperparameters; more take too long to evaluate so often


def write_section(
    tracker: Tracker,
    search: Search,
    space: tuple[Parameter, ...],
    shares: Mapping[str, float] | None = None,
) -> Section | None:
    """Return the bars; None for fewer than two hyperparameters, a sentence for too few trials.

    `shares` are those of `sort_by_importance`, if it has evaluated them.
    """
    trials, measured = select_measured(tracker, search, space)
    if len(measured) < 2:
        return None
    report = find_first_rung(search)
    where = f"have a score at report {report}, the first rung" if report else "ran to the end"
    if len(trials) < FEWEST:
        return Section(
            f"Not available: {format_count(len(trials), 'trial')} {where}; "
            f"importances need {FEWEST}, since of fewer the first one is often another one."
        )
    spread: dict[str, tuple[float, float]] = {}
    if not shares or len(shares) <= RESAMPLED:
        frozen = [_freeze(measured, trial) for trial in trials]
        shares = evaluate_importances(frozen, search.mode)
        spread = resample_importances(frozen, search.mode) if len(shares) <= RESAMPLED else {}
    text = (
        f"{embed_figure('importances', 'Importance of the hyperparameters')}\n\n"
        f"PED-ANOVA (Watanabe et al., 2023) over the {format_count(len(trials), 'trial')} that "
        f"{where}: how far the values of the best "
        f"{max(GOOD, 5 / len(trials)) * 100:.0f} % differ from those of all of them, as shares "
        f"of 100 %.{AT_RUNG if report else ''}" + _describe_limits(len(shares), bool(spread))
    )
    left_out = [format_code(shorten(p.name, NAME)) for p in space if p not in measured]
    if left_out:
        text += (
            f" Left out, since they have fewer than {PER_CHOICE} trials per choice: "
            f"{join_words(left_out[:BARS])}."
        )
    rows = tuple((name, f"{share * 100:.3g} %") for name, share in shares.items())
    table = Table(("hyperparameter", "share"), rows, "lr")
    figure = draw_importances(search, dict(list(shares.items())[:BARS]), spread)
    whole = {"importances": table} if len(shares) > BARS else {}
    return Section(text, {"importances": figure}, tables=whole)


def _describe_limits(shares: int, has_spread: bool) -> str:
    text = ""
    if has_spread:
        text = (
            f" The lines are the 5 to 95 % range over {HALVES} random halves of the trials: "
            "hyperparameters whose lines overlap are in no order."
        )
    elif shares > RESAMPLED:
        text = " With so many hyperparameters, shares are not evaluated on halves of the trials."
    if shares > BARS:
        text += f" The first {BARS} of {shares:,} are drawn; all are in `tables/importances.csv`."
    return text


def sort_by_importance(
    tracker: Tracker, search: Search, space: tuple[Parameter, ...]
) -> tuple[tuple[Parameter, ...], Mapping[str, float]]:
    """Return the parameters in their order; of too many for a figure the important ones first.

    Compared hyperparameters stay in front. Also returns the shares, where they decide.
    """
    if len(space) <= BARS:
        return space, {}
    trials, measured = select_measured(tracker, search, space)
    if len(trials) < FEWEST or len(measured) < 2:
        return space, {}
    shares = evaluate_importances([_freeze(measured, trial) for trial in trials], search.mode)
    order = sorted(space, key=lambda p: (p.field not in search.compare, -shares.get(p.name, 0.0)))
    return tuple(order), shares


def select_measured(
    tracker: Tracker, search: Search, space: tuple[Parameter, ...]
) -> tuple[list[TrialRecord], tuple[Parameter, ...]]:
    """Return the last trials with a score at equal budget, and the parameters they can measure.

    After early stopping the score is the best one up to the first rung. A parameter of too many
    choices for these trials would seem important: each good trial has another one.
    """
    report = find_first_rung(search)
    if report is None:
        trials = select_equal_budget(search)[-MOST:]
    else:
        reached = [t for t in search.trials if t.reports >= report][-MOST:]
        trials = score_at_report(search, read_curves(tracker, reached, [search.metric]), report)
    measured = tuple(p for p in space if PER_CHOICE * len(p.choices) <= len(trials))
    return trials, measured


def find_first_rung(search: Search) -> int | None:
    """Return the report of the first rung if trials were stopped there or later, else None."""
    rungs = read_rungs(search)
    stopped = any(t.outcome == "stopped" and t.reason != "time budget" for t in search.trials)
    return rungs[0] if rungs and stopped else None


def score_at_report(
    search: Search, trials: Sequence[TrialRecord], report: int
) -> list[TrialRecord]:
    """Return the trials with their best score up to a report; those without one are left out."""
    best, found = max if search.mode == "max" else min, []
    for trial in trials:
        curve = trial.curves.get(search.metric, ())
        values = [v for at, v in curve if at <= report and is_finite(v)]
        if values:
            found.append(replace(trial, metrics={**trial.metrics, "score": best(values)}))
    return found


def select_equal_budget(search: Search) -> list[TrialRecord]:
    """Return the complete trials with a score and the full number of reports."""
    full = get_full_length(search)
    return [
        trial
        for trial in search.trials
        if trial.outcome == "complete"
        and is_finite(trial.metrics.get("score"))
        and (full is None or trial.reports >= full)
    ]


def evaluate_importances(trials: list[FrozenTrial], mode: str) -> dict[str, float]:
    """Return shares that sum to 1, largest first; equal ones if nothing has importance."""
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator

    optuna.logging.set_verbosity(logging.ERROR)
    study = optuna.create_study(direction="maximize" if mode == "max" else "minimize")
    study.add_trials(trials)
    evaluator = PedAnovaImportanceEvaluator(target_quantile=min(0.5, max(GOOD, 5 / len(trials))))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the evaluator is experimental in Optuna
        found = evaluator.evaluate(study)
    total = sum(found.values())
    equal = 1 / max(1, len(found))
    return {name: share / total if total else equal for name, share in found.items()}


def resample_importances(trials: list[FrozenTrial], mode: str) -> dict[str, tuple[float, float]]:
    """Return the 5 to 95 % range of shares over random halves."""
    rng = np.random.default_rng(0)
    drawn: dict[str, list[float]] = {}
    for _ in range(HALVES):
        some = rng.permutation(len(trials))[: len(trials) // 2]
        for name, share in evaluate_importances([trials[i] for i in some], mode).items():
            drawn.setdefault(name, []).append(share)
    return {
        name: (float(np.quantile(seen, 0.05)), float(np.quantile(seen, 0.95)))
        for name, seen in drawn.items()
    }


def draw_importances(
    search: Search, shares: dict[str, float], spread: dict[str, tuple[float, float]]
) -> Figure:
    """Return horizontal bars, the most important one on top."""
    names = list(shares)[::-1]
    with figure_style():
        figure = create_figure(search, 5.2, 0.55 + 0.26 * len(names))
        axes = figure.subplots()
        places = range(len(names))
        axes.barh(places, [shares[name] * 100 for name in names], 0.62, color=BLUE, alpha=0.55)
        axes.set_yticks(places, list(map(to_label, names)))
        for y, name in enumerate(names):
            if name in spread:
                axes.plot([end * 100 for end in spread[name]], [y, y], color="black", lw=1.3)
        axes.set_xlabel("share of the importance (%)")
        axes.set_xlim(0)
        axes.grid(False, axis="y")
    return figure


def _freeze(space: tuple[Parameter, ...], trial: TrialRecord) -> FrozenTrial:
    from optuna.trial import create_trial

    values = [(p, v) for p in space if (v := find_value(space, p, trial)) is not None]
    return create_trial(
        params={p.name: int(v) if p.whole and not p.choices else v for p, v in values},
        distributions={p.name: _to_distribution(p) for p, _ in values},
        value=trial.metrics["score"],
    )


def _to_distribution(p: Parameter) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if p.choices:
        return CategoricalDistribution(p.choices)
    if p.whole:
        step = 1 if p.log or p.varies else int(p.step or 1)
        return IntDistribution(int(p.low), int(p.high), p.log, step)
    return FloatDistribution(p.low, p.high, p.log, None if p.log or p.varies else p.step)
