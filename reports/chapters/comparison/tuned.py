"""Answer to the question of the space where each arm was tuned: the best of each on new seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from reports.chapters.comparison import pairs
from reports.chapters.comparison.arms import TunedArm, find_arms, find_letters
from reports.chapters.comparison.budgets import describe_budgets
from reports.chapters.comparison.chart import make_chart
from reports.chapters.comparison.figure import draw_comparison
from reports.chapters.comparison.groups import Group, find_differing, name_group
from reports.chapters.comparison.orders import describe_orders
from reports.chapters.comparison.pairs import Pair
from reports.chapters.comparison.published import Column, describe_ranking, find_column
from reports.chapters.size import find_size_metric
from reports.numbers.means import compare_means, explain_refusal
from reports.numbers.paired import Array, adjust_p_values, compare_over_seeds
from reports.numbers.seeds import FEWEST, accuracy_over_seeds
from reports.numbers.statistics import mean_interval, rank_by
from reports.read.opened_test import OpenedTest
from reports.read.predictions import find_correct
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.safe import escape_markdown
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import to_words
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_value,
    join_words,
    to_markdown,
)
from trainables.durations import format_duration

SEEDS = 2  # re-runs that an arm needs for a test
SETTINGS = 12  # tuned hyperparameters in the table

Opened = Mapping[tuple[str, ...], Array]
"""Correct test predictions of the re-runs, (seeds, n), by the values of the arm."""


def write_section(search: Search, test: OpenedTest) -> Section | None:
    """Return table, tests and the order by budget; None for fewer than two arms.

    Opens the test predictions of all re-runs of the arms at once, as one entry of the record.
    """
    arms = find_arms(search)
    if len(arms) < 2:
        return None
    order = rank_by([a.group for a in arms if a.group.trials], lambda g: g.mean, search.mode)
    if not order:
        return Section(
            "**The best configurations of the arms have not run on new seeds yet**: the arms are "
            "not compared by the scores that they were chosen by. "
            + (f"It is unfinished: {search.unfinished}." if search.unfinished else "")
        )
    opened, closed = open_arms(search, arms, test)
    judged = [] if search.unfinished else _find_judged(arms, order)
    every = compare_arms(search, judged, opened)
    on_test = replace(search, metric="test_accuracy", mode="max") if opened else search
    theirs = find_column(search, order)
    by_group = {arm.group.values: arm for arm in arms}
    ordered = [by_group[g.values] for g in order] + [a for a in arms if not a.group.trials]
    text = join_paragraphs(
        _introduce(arms),
        _write_table(search, ordered, find_letters(order, every), opened, theirs),
        pairs.describe_pairs(on_test, every),
        _describe_power(on_test, judged, opened) if every else None,
        _explain(search, arms, judged, opened, closed, len(every)),
        describe_ranking(on_test, theirs, every) if theirs else None,
        describe_orders(on_test, every),
        _write_settings(search, ordered),
        describe_budgets(search, arms, every),
        embed_figure("comparison", "Scores of the best configuration of each arm on new seeds"),
        "Marks are means over new seeds on validation with 95 % intervals (Student's t), dots the "
        "seeds.",
    )
    charts = {"comparison": make_chart(search, order, True, theirs, None)}
    figure = draw_comparison(search, order, True, theirs, None)
    return Section(text, {"comparison": figure}, charts=charts)


def _describe_power(search: Search, judged: Sequence[Group], opened: Opened) -> str | None:
    text = pairs.describe_power(search, _list_scores(judged, opened))
    if text is None or not opened:
        return text
    return text + (
        " That is by their seeds alone: the arms are tested over new examples as well, so that a "
        "difference which is found must also be larger than the half-width of its interval."
    )


def open_arms(
    search: Search, arms: Sequence[TunedArm], test: OpenedTest
) -> tuple[dict[tuple[str, ...], Array], str]:
    """Return the correct test predictions of all arms, or of none and why they are closed."""
    groups = [arm.group for arm in arms if arm.group.trials]
    runs = [run for g in groups for run in sorted(g.trials, key=lambda run: run.number)]
    best = [arm.best.number for arm in arms if arm.best and arm.group.trials]
    entry = test.mark({"arms": best, "runs": [run.number for run in runs]})
    found = None if search.unfinished else test.open_predictions(runs, entry)
    if found is None:
        what = "the arms"
        return {}, test.describe_rejection(entry, what) if test.is_closed(entry) else ""
    right = [find_correct(output, found.examples.targets) for output in found.outputs]
    opened, start = {}, 0
    for g in groups:
        opened[g.values] = np.stack(right[start : start + len(g.trials)])
        start += len(g.trials)
    return opened, ""


def compare_arms(search: Search, groups: Sequence[Group], opened: Opened) -> list[Pair]:
    """Compare all pairs of arms on the test set where it is open, else on validation.

    On the test set two arms differ where they do over seeds and examples as crossed random
    effects, and by the means of their seeds: few seeds that agree by chance are no certainty.
    None are compared where the seeds are too few (`explain_refusal`).
    """
    if not opened:
        return pairs.compare_by_seeds(groups, search.mode)
    seeds = [opened[g.values].mean(axis=1).tolist() for g in groups]
    step = 1 / next(iter(opened.values())).shape[1]
    if explain_refusal(seeds, step):
        return []
    by_seeds = {frozenset((c.first, c.second)): c.p for c in compare_means(seeds, step)}
    places = {g.values: place for place, g in enumerate(groups)}
    found = []
    for one, two in combinations(groups, 2):
        a, b = opened[one.values], opened[two.values]
        first, second = (one, two) if a.mean() >= b.mean() else (two, one)
        difference = compare_over_seeds(opened[first.values], opened[second.values])
        found.append(Pair(first, second, difference.interval, difference.p))
    p_values = adjust_p_values([pair.uncorrected for pair in found])
    corrected = []
    for pair, p in zip(found, p_values, strict=True):
        both = frozenset((places[pair.first.values], places[pair.second.values]))
        corrected.append(replace(pair, p=max(p, by_seeds[both])))
    return corrected


def _list_scores(judged: Sequence[Group], opened: Opened) -> list[list[float]]:
    return [opened[g.values].mean(axis=1).tolist() if opened else g.outcomes for g in judged]


def _find_judged(arms: Sequence[TunedArm], order: Sequence[Group]) -> list[Group]:
    whole = {arm.group.values for arm in arms if not arm.lost}
    return [g for g in order if g.values in whole and len(g.trials) >= SEEDS]


def _introduce(arms: Sequence[TunedArm]) -> str:
    counts = sorted({len(arm.tried) for arm in arms})
    each = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    text = (
        f"Each of the {len(arms)} arms was tuned by itself, with {each} trials, its own sampler "
        "and its own early stopping. Then the best configuration of each arm by its search score "
        "was run on new seeds at full length; search scores are not compared."
    )
    if len(counts) > 1:
        text += (
            " **The arms have had different numbers of trials**, which favours those with more; "
            "an arm ends before the others when all of its configurations were tried."
        )
    return text


def _write_table(
    search: Search,
    arms: Sequence[TunedArm],
    letters: Mapping[tuple[str, ...], str],
    opened: Opened,
    theirs: Column | None,
) -> str:
    by = find_size_metric([run for arm in arms for run in arm.group.trials])
    rows = []
    for arm in arms:
        g, runs = arm.group, arm.group.trials
        seconds = [
            run.metrics["device_seconds"] for run in runs if "device_seconds" in run.metrics
        ]
        test = opened.get(g.values)
        others = [runs for values, runs in opened.items() if values != g.values]
        rows.append(
            (
                *map(format_value, g.values),
                f"{len(arm.tried):,}",
                f"{arm.best.number}" if arm.best else "none complete",
                f"{len(runs)}" + (f" of {len(runs) + arm.lost}" if arm.lost else ""),
                format_interval(mean_interval(g.scores), search.metric) if runs else "",
                ""
                if test is None
                else format_interval(accuracy_over_seeds(test, others=others), "test_accuracy"),
                letters.get(g.values, ""),
                f"{runs[0].metrics[by]:,.0f}" if runs and by in runs[0].metrics else "",
                format_duration(float(np.mean(seconds))) if seconds else "",
                theirs.text(g) if theirs else "",
            )
        )
    header = (
        *search.compare,
        "trials",
        "best trial",
        "new seeds",
        f"mean {search.metric} (95 %)",
        "mean test accuracy (95 %)",
        "group",
        to_words(by),
        "device time of a run",
        f"published ({theirs.name})" if theirs else "",
    )
    align = "l" * len(search.compare) + "rrrrrlrrr"
    return to_markdown(drop_empty_columns(Table(header, tuple(rows), align)))


def _explain(
    search: Search,
    arms: Sequence[TunedArm],
    judged: Sequence[Group],
    opened: Opened,
    closed: str,
    tests: int,
) -> str:
    lines = []
    if lost := [arm for arm in arms if arm.lost]:
        named = join_words([escape_markdown(name_group(search, arm.group)) for arm in lost])
        lines.append(
            f"**Not compared: {named}**, of which re-runs were lost: the mean of those that are "
            "complete is optimistically biased."
        )
    if not tests:
        few = explain_refusal([g.outcomes for g in judged]) or "no arms have re-runs enough"
        why = "the search is unfinished" if search.unfinished else few
        lines.append(f"No arms are tested against each other: {why}.")
    else:
        where = (
            "the test set, which is opened once for all of them: over seeds and examples, which "
            "are crossed random effects, and by the means of their seeds (Student's t, the larger "
            "p-value counts)"
            if opened
            else "validation: on new seeds, but on the examples by which their configurations "
            "were chosen"
        )
        corrected = f" p-values are corrected for all {tests} pairs." if tests > 1 else ""
        lines.append(
            f"The arms are tested on {where}.{corrected} "
            "Arms that share a letter (*group*) do not differ significantly."
        )
    if opened:
        lines.append(
            "The interval of the mean on validation is over new seeds on the same examples "
            "(Student's t), that of the test accuracy over new seeds and new examples, as of the "
            f"accuracy that is quoted, from {FEWEST} runs on."
        )
    if closed:
        lines.append(f"**The test set is not opened for the arms**: {closed}.")
    return " ".join(lines)


def _write_settings(search: Search, arms: Sequence[TunedArm]) -> str | None:
    """Return the tuned values of the best trials, of the hyperparameters that differ."""
    best = [arm for arm in arms if arm.best is not None]
    trials = [arm.best for arm in best if arm.best is not None]
    names = find_differing(trials, search.compare)[:SETTINGS]
    if not names:
        return None
    rows = tuple(
        (
            name_group(search, arm.group),
            *(format_value(trial.params.get(name, "")) for name in names),
        )
        for arm, trial in zip(best, trials, strict=True)
    )
    return "Tuned configurations:\n\n" + to_markdown(
        Table(("arm", *names), rows, "l" + "r" * len(names))
    )
