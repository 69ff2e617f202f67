"""Whether the order of the arms depends on the budget: their best score by number of trials."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from reports.chapters.budget import FEWEST, RANDOM, median_best
from reports.chapters.comparison.arms import TunedArm, find_stable_budget
from reports.chapters.comparison.groups import name_group
from reports.chapters.comparison.pairs import Pair
from reports.numbers.statistics import Interval
from reports.read.winner import rank_trials
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.sections import join_paragraphs
from reports.write.tables import Table, format_count, to_markdown

COLUMNS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500)  # budgets in the table, and the last one

UNTESTED = "That is what was seen, and no test: other trials may be in another order."
Floats = NDArray[np.float64]


def describe_budgets(
    search: Search, arms: Sequence[TunedArm], found: Sequence[Pair]
) -> str | None:
    """Return the best score of each arm by the number of its trials, and how stable the order is.

    Only the order of pairs that differ significantly on new seeds, of those in `found`, is
    judged: equal arms are in some order as well, by chance. For a sampler that does not learn
    this is the best of k random trials in the median. None for fewer than two trials of an arm,
    or where one has no score.
    """
    random = search.tags.get("sampler") in RANDOM
    drawn = [arm.tried[1:] if random else arm.tried for arm in arms]  # the first was not drawn
    sign = 1.0 if search.mode == "max" else -1.0
    scores = []
    for trials in drawn:
        ranked = set(rank_trials(search, trials))
        values = [sign * t.metrics["score"] if t in ranked else -np.inf for t in trials]
        scores.append(np.array(values, dtype=float))
    most = min(map(len, scores))
    if most < (FEWEST if random else 2) or not all(np.isfinite(s[:most]).any() for s in scores):
        return None
    curves = [_find_median(s[:most]) if random else _accumulate(s[:most]) for s in scores]
    most = min(int(np.isfinite(curve[1]).sum()) for curve in curves) if random else most
    places = {arm.group.values: place for place, arm in enumerate(arms)}
    ordered = [
        (places[pair.first.values], places[pair.second.values])
        for pair in found
        if pair.is_significant
    ]
    stable = find_stable_budget([curve[1, :most].tolist() for curve in curves], ordered)
    shown = sorted({*(k for k in COLUMNS if k < most), most})
    rows = tuple(
        (
            name_group(search, arm.group),
            *(_format(search, sign, curve[:, k - 1]) for k in shown),
        )
        for arm, curve in zip(arms, curves, strict=True)
    )
    names = ("median best of" if random else "best of the first", *map(str, shown))
    return join_paragraphs(
        _describe_order(stable, most, len(ordered), len(found)),
        to_markdown(Table(names, rows, "l" + "r" * len(shown))),
        _explain(search, random, most),
    )


def _describe_order(stable: int | None, most: int, differ: int, tested: int) -> str:
    if differ == 0:
        none = "no pair of them differs significantly on new seeds"
        why = none if tested else "they are not tested against each other"
        return f"No order of the arms is claimed for any budget: {why}."
    pairs = format_count(differ, "pair")
    which = f"of the {pairs} that {'differs' if differ == 1 else 'differ'} on new seeds"
    if stable is None or stable == most:
        return (
            f"In these trials the order {which} depends on the budget: by the best validation "
            "score it "
            + ("is another one with all" if stable is None else "changes up to the last of the")
            + f" {most} trials per arm. {UNTESTED}"
        )
    if stable == 1:
        return (
            f"In these trials the order {which} is the same for every budget from 1 to {most} "
            f"trials per arm, by the best validation score. {UNTESTED}"
        )
    return (
        f"In these trials the order {which} is the same from {stable} trials per arm on, up to "
        f"the {most} that there are, by the best validation score; with fewer it is another one. "
        f"{UNTESTED}"
    )


def _explain(search: Search, random: bool, most: int) -> str:
    text = (
        f"Validation scores, of the search seed alone, by the number of trials per arm (of {most})"
    )
    if random:
        return text + (
            ": the best of k random trials in the median, with a 95 % interval of order "
            "statistics where the trials suffice for one. Trials without a score count as the "
            "worst one."
        )
    return text + (
        f". These are the trials of this one search: the sampler ({search.tags.get('sampler')}) "
        "learns from earlier ones, so that an expectation over searches cannot be estimated from "
        "it; `--sampler random` allows that, with intervals."
    )


def _find_median(scores: Floats) -> Floats:
    """Return the median of the best of k for every k, between the ends of its interval: (3, n)."""
    finite = np.isfinite(scores)
    filled = np.where(finite, scores, scores[finite].min())
    return median_best(filled, range(1, len(scores) + 1))


def _accumulate(scores: Floats) -> Floats:
    """Return the best score so far for every number of trials, without an interval: (3, n)."""
    unknown = np.full(len(scores), np.nan)
    return np.stack([unknown, np.maximum.accumulate(scores), unknown])


def _format(search: Search, sign: float, curve: Floats) -> str:
    low, value, high = (sign * curve).tolist()
    if not np.isfinite(value):
        return "no score"
    low, high = (low, high) if sign > 0 else (high, low)
    return format_interval(Interval(value, low, high, 1), search.metric)
