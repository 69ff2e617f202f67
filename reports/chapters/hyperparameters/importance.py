"""Importance of the hyperparameters: Optuna's PED-ANOVA over trials of equal budget."""

import logging
import warnings
from collections.abc import Mapping

import numpy as np
import optuna
from matplotlib.figure import Figure
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.importance import PedAnovaImportanceEvaluator
from optuna.trial import FrozenTrial, create_trial

from reports.chapters.outcomes.chapter import get_full_length
from reports.numbers.statistics import is_finite
from reports.read.space import Parameter, find_value
from reports.records import Search, TrialRecord
from reports.write.labels import to_label
from reports.write.safe import format_code, shorten
from reports.write.sections import Section, embed_figure
from reports.write.style import BLUE, create_figure, figure_style
from reports.write.tables import NAME, Table, format_count, join_words

FEWEST = 10  # complete trials; fewer give only noise
GOOD = 0.1  # the best share of the trials, at least five, whose values are explained
HALVES = 20  # random halves of the trials, for the spread
HALVED_FROM = 40  # trials, so that a half has enough good ones
MOST = 300  # the last trials that are used; more cost time and change little
BARS = 30  # hyperparameters in the figure
PER_CHOICE = 2  # trials, for an importance of a categorical hyperparameter
RESAMPLED = 60  # hyperparameters; more take too long to evaluate so often


def write_section(
    search: Search, space: tuple[Parameter, ...], shares: Mapping[str, float] | None = None
) -> Section | None:
    """Return the bars; None for fewer than two hyperparameters or too few complete trials.

    `shares` are those of `sort_by_importance`, if it has evaluated them.
    """
    trials, measured = select_measured(search, space)
    if len(measured) < 2 or len(trials) < FEWEST:
        return None
    spread: dict[str, tuple[float, float]] = {}
    if not shares or len(shares) <= RESAMPLED:
        frozen = [_freeze(measured, trial) for trial in trials]
        shares = evaluate_importances(frozen, search.mode)
        spread = resample_importances(frozen, search.mode) if len(shares) <= RESAMPLED else {}
    text = (
        f"{embed_figure('importances', 'Importance of the hyperparameters')}\n\n"
        f"PED-ANOVA (Watanabe et al., 2023) over the {format_count(len(trials), 'trial')} that "
        "ran to the end: how far the values of the best "
        f"{max(GOOD, 5 / len(trials)) * 100:.0f} % differ from those of all of them, as shares "
        "of 100 %. Stopped trials are left out, since their scores are at a smaller budget."
        + _describe_limits(len(trials), len(shares), bool(spread))
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


def _describe_limits(trials: int, shares: int, has_spread: bool) -> str:
    text = ""
    if has_spread:
        text = f" The lines are the 5 to 95 % range over {HALVES} random halves of the trials."
    elif shares > RESAMPLED:
        text = " With so many hyperparameters, shares are not evaluated on halves of the trials."
    elif trials < HALVED_FROM:
        text = f" With fewer than {HALVED_FROM} trials, only the ranking is meaningful."
    if shares > BARS:
        text += f" The first {BARS} of {shares:,} are drawn; all are in `tables/importances.csv`."
    return text


def sort_by_importance(
    search: Search, space: tuple[Parameter, ...]
) -> tuple[tuple[Parameter, ...], Mapping[str, float]]:
    """Return the parameters in their order; of too many for a figure the important ones first.

    Compared hyperparameters stay in front. Also returns the shares, where they decide.
    """
    if len(space) <= BARS:
        return space, {}
    trials, measured = select_measured(search, space)
    if len(trials) < FEWEST or len(measured) < 2:
        return space, {}
    shares = evaluate_importances([_freeze(measured, trial) for trial in trials], search.mode)
    order = sorted(space, key=lambda p: (p.field not in search.compare, -shares.get(p.name, 0.0)))
    return tuple(order), shares


def select_measured(
    search: Search, space: tuple[Parameter, ...]
) -> tuple[list[TrialRecord], tuple[Parameter, ...]]:
    """Return the last trials of equal budget, and the parameters that they can measure.

    A parameter of too many choices for these trials would seem important: each good trial has
    another one.
    """
    trials = select_equal_budget(search)[-MOST:]
    measured = tuple(p for p in space if PER_CHOICE * len(p.choices) <= len(trials))
    return trials, measured


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
    """Return the 5 to 95 % range of shares over random halves; empty for too few trials."""
    if len(trials) < HALVED_FROM:
        return {}
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
    values = [(p, v) for p in space if (v := find_value(space, p, trial)) is not None]
    return create_trial(
        params={p.name: int(v) if p.whole and not p.choices else v for p, v in values},
        distributions={p.name: _to_distribution(p) for p, _ in values},
        value=trial.metrics["score"],
    )


def _to_distribution(p: Parameter) -> BaseDistribution:
    if p.choices:
        return CategoricalDistribution(p.choices)
    if p.whole:
        step = 1 if p.log or p.varies else int(p.step or 1)
        return IntDistribution(int(p.low), int(p.high), p.log, step)
    return FloatDistribution(p.low, p.high, p.log, None if p.log or p.varies else p.step)
