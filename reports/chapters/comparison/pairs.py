"""Which rows of a comparison differ by more than chance: every pair, with an interval."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from scipy.stats import ttest_ind

from reports.chapters.comparison.groups import Group, name_group
from reports.numbers.paired import Array, adjust_p_values, mcnemar, paired_bootstrap
from reports.numbers.statistics import Interval
from reports.records import Search
from reports.write.intervals import format_difference, format_p_value
from reports.write.tables import format_count, is_share, join_words

LEVEL = 0.05  # of all pairs together
NAMED = 4  # pairs in a sentence


@dataclass(frozen=True)
class Pair:
    """Two rows, the better one first, and how much better by the search's metric it is."""

    first: Group
    second: Group
    gap: Interval
    alone: float  # p-value of this test by itself
    p: float = 1.0  # Holm-corrected for all pairs

    @property
    def differs(self) -> bool:
        return self.p < LEVEL


def compare_by_seeds(order: Sequence[Group], mode: str) -> list[Pair]:
    """All pairs of rows that are repeated over seeds, by Welch's t-test; `order` best first.

    A row of a single run is in none of them: nothing is known of its spread.
    """
    order = [g for g in order if len(g.trials) > 1]
    return _corrected([_welch(one, two, mode) for one, two in combinations(order, 2)])


def compare_by_examples(order: Sequence[Group], hits: Mapping[int, Array]) -> list[Pair]:
    """All pairs of rows by their best trials, right or wrong, (n,), on the same examples."""
    # By these, and not by the score, which may have been taken in another precision.
    known = [g for g in order if g.best.number in hits]
    known.sort(key=lambda g: -float(hits[g.best.number].mean()))
    found = []
    for one, two in combinations(known, 2):
        a, b = hits[one.best.number], hits[two.best.number]
        gap = paired_bootstrap(a.astype(np.float64) - b, resamples=1000)
        found.append(Pair(one, two, gap, mcnemar(a, b)))
    return _corrected(found)


def _welch(one: Group, two: Group, mode: str) -> Pair:
    sign = 1 if mode == "max" else -1
    gap = sign * (one.mean - two.mean)
    if np.ptp(one.scores) == 0 and np.ptp(two.scores) == 0:  # nothing varies
        return Pair(one, two, Interval(gap, gap, gap, 0), float(gap == 0))
    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # one never varies
        test = ttest_ind(one.scores, two.scores, equal_var=False)
        ends = test.confidence_interval(0.95)
    low, high = sorted((sign * float(ends.low), sign * float(ends.high)))
    n = len(one.scores) + len(two.scores)
    return Pair(one, two, Interval(gap, low, high, n), float(test.pvalue))


def _corrected(found: list[Pair]) -> list[Pair]:
    p_values = adjust_p_values([pair.alone for pair in found]) if found else []
    return [replace(pair, p=p) for pair, p in zip(found, p_values, strict=True)]


def describe_pairs(search: Search, found: Sequence[Pair]) -> str | None:
    """One plain answer: no pair differs beyond chance, or which do; None without pairs."""
    if not found:
        return None
    differ = sorted((pair for pair in found if pair.differs), key=lambda pair: pair.p)
    if len(found) == 1:
        pair = found[0]
        verdict = "differ beyond chance" if differ else "do not differ beyond chance"
        both = f"{name_group(search, pair.first)} and {name_group(search, pair.second)}"
        return f"**{both} {verdict}**: {_about(search, pair)}."
    corrected = f"Holm-corrected for {format_count(len(found), 'pair')}"
    corrected += "; lower is better" if search.mode == "min" else ""
    if not differ:
        widest = max(found, key=lambda pair: pair.gap.value)
        return (
            f"**No pair of rows differs beyond chance** ({corrected}). The largest difference: "
            f"{_about(search, widest)}. {_resolution(search, found)}"
        )
    shown = "; ".join(_about(search, pair) for pair in differ[:NAMED])
    more = f"; and {len(differ) - NAMED} more" if len(differ) > NAMED else ""
    head = (
        "**All pairs of rows differ beyond chance**"
        if len(differ) == len(found)
        else f"**{len(differ)} of {len(found)} pairs of rows differ beyond chance**"
    )
    rest = "" if len(differ) == len(found) else f" {_resolution(search, found)}"
    return f"{head} ({corrected}): {shown}{more}.{rest}"


def _resolution(search: Search, found: Sequence[Pair]) -> str:
    half = float(np.median([(pair.gap.high - pair.gap.low) / 2 for pair in found]))
    size = f"{half * 100:.2f} points" if is_share(search.metric) else f"{half:.3g}"
    return (
        f"The interval of a difference is about ±{size} wide (median), before the correction: "
        "smaller ones cannot be seen in this search, and may be there all the same."
    )


def _about(search: Search, pair: Pair) -> str:
    return (
        f"{name_group(search, pair.first)} over {name_group(search, pair.second)} by "
        f"{format_difference(pair.gap, search.metric)}, {format_p_value(pair.p)}"
    )


def name_pairs(search: Search, found: Sequence[Pair]) -> str:
    """`64 over 512 and 32 over 16`, the first few."""
    shown = [
        f"{name_group(search, pair.first)} over {name_group(search, pair.second)}"
        for pair in found[:NAMED]
    ]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return join_words([*shown, *more])
