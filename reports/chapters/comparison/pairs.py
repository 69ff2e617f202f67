"""Pairwise tests of the groups of a comparison, with intervals of the differences."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from cluster.tuning.power import MANY, POWER, find_detectable
from reports.chapters.comparison.groups import Group, name_group
from reports.numbers.means import LEVEL, compare_means, explain_refusal
from reports.numbers.paired import Array, adjust_p_values, compare_correct
from reports.numbers.statistics import Interval
from reports.records import Search
from reports.write.intervals import format_difference, format_p_value
from reports.write.safe import escape_markdown
from reports.write.tables import format_count, is_share, join_words

NAMED = 4  # pairs in a sentence


@dataclass(frozen=True)
class Pair:
    """Two groups, the better one first, and their difference in the metric of the search."""

    first: Group
    second: Group
    gap: Interval
    uncorrected: float  # p-value of this test
    p: float = 1.0  # corrected for all pairs

    @property
    def is_significant(self) -> bool:
        """Return whether the difference is statistically significant."""
        return self.p < LEVEL


def compare_by_seeds(order: Sequence[Group], mode: str, step: float = 0.0) -> list[Pair]:
    """Compare all pairs of groups, best first, that are repeated over seeds, by their means.

    Groups of a single run are left out: their variance is unknown. Empty where nothing can be
    said (`explain_untested`). `step` is the difference of neighbouring scores.
    """
    order = _select_repeated(order)
    if explain_refusal([g.outcomes for g in order], step):
        return []
    sign = 1 if mode == "max" else -1
    found = compare_means([[sign * score for score in g.outcomes] for g in order], step)
    return [
        Pair(order[c.first], order[c.second], c.difference.interval, c.difference.p, c.p)
        for c in found
    ]


def explain_untested(order: Sequence[Group], step: float = 0.0) -> str | None:
    """Return why groups that are repeated over seeds are not compared; None if they are."""
    return explain_refusal([g.outcomes for g in _select_repeated(order)], step)


def _select_repeated(order: Sequence[Group]) -> list[Group]:
    return [g for g in order if len(g.trials) > 1]


def compare_by_examples(order: Sequence[Group], hits: Mapping[int, Array]) -> list[Pair]:
    """Compare all pairs of groups by the correct predictions, (n,), of their best trials."""
    # Ranked by these predictions: the score may be of another floating-point precision.
    known = [g for g in order if g.best.number in hits]
    known.sort(key=lambda g: -float(hits[g.best.number].mean()))
    found = []
    for one, two in combinations(known, 2):
        difference = compare_correct(hits[one.best.number], hits[two.best.number])
        found.append(Pair(one, two, difference.interval, difference.p))
    return _correct(found)


def _correct(found: list[Pair]) -> list[Pair]:
    p_values = adjust_p_values([pair.uncorrected for pair in found]) if found else []
    return [replace(pair, p=p) for pair, p in zip(found, p_values, strict=True)]


def describe_pairs(
    search: Search, found: Sequence[Pair], what: Literal["row", "model"] = "row"
) -> str | None:
    """Return which pairs differ significantly; None without pairs.

    These are of rows, or of models where a row has one run, which says nothing of its setting.
    """
    if not found:
        return None
    differ = sorted((pair for pair in found if pair.is_significant), key=lambda pair: pair.p)
    # Over seeds alone: on other examples the order may be another one.
    where = " on these validation examples" if search.metric.startswith("validation") else ""
    if len(found) == 1:
        pair = found[0]
        verdict = "differ significantly" if differ else "do not differ significantly"
        both = f"{_name(search, pair.first)} and {_name(search, pair.second)}"
        both = f"The models of {both}" if what == "model" else both
        return f"**{both} {verdict}{where}**: {_describe_pair(search, pair)}."
    corrected = f"corrected for {format_count(len(found), 'pair')}"
    corrected += "; lower is better" if search.mode == "min" else ""
    if not differ:
        widest = max(found, key=lambda pair: pair.gap.value)
        return (
            f"**No pair of {what}s differs significantly{where}** ({corrected}). The largest "
            f"difference: {_describe_pair(search, widest)}.{_describe_resolution(search, found)}"
        )
    shown = "; ".join(_describe_pair(search, pair) for pair in differ[:NAMED])
    more = f"; and {len(differ) - NAMED} more" if len(differ) > NAMED else ""
    head = (
        f"**All pairs of {what}s differ significantly{where}**"
        if len(differ) == len(found)
        else f"**{len(differ)} of {len(found)} pairs of {what}s differ significantly{where}**"
    )
    rest = "" if len(differ) == len(found) else _describe_resolution(search, found)
    return f"{head} ({corrected}): {shown}{more}.{rest}"


def _describe_resolution(search: Search, found: Sequence[Pair]) -> str:
    known = [pair.gap for pair in found if pair.gap.is_known]
    if not known:
        return ""
    half = float(np.median([(gap.high - gap.low) / 2 for gap in known]))
    return (
        f" The median half-width of the 95 % intervals is {_format_size(search, half)}, before "
        "the correction. That a difference is not significant does not mean that there is none."
    )


def describe_power(search: Search, scores: Sequence[Sequence[float]]) -> str | None:
    """Return which difference these rows of scores over seeds, and rows of ten, find.

    None for fewer than two rows, or where the seeds do not differ.
    """
    if len(scores) < 2 or min(map(len, scores)) < 2:
        return None
    free = [len(row) - 1 for row in scores]
    spread = float(np.sqrt(np.average([np.var(row, ddof=1) for row in scores], weights=free)))
    seeds = min(map(len, scores))
    found, many = (find_detectable(len(scores), n) for n in (seeds, MANY))
    if not spread or many is None:
        return None
    size = f"a difference of about {_format_size(search, found * spread)}" if found else ""
    text = f"With {seeds} seeds per row {size or 'no difference, however large,'} is found "
    text += f"in {100 * POWER:.0f} % of comparisons"
    if seeds < MANY:
        text += f", with {MANY} seeds one of about {_format_size(search, many * spread)}"
    return text + " (for normally distributed scores with the spread of these)."


def _format_size(search: Search, size: float) -> str:
    return f"{size * 100:.2f} points" if is_share(search.metric) else f"{size:.3g}"


def _name(search: Search, group: Group) -> str:
    return escape_markdown(name_group(search, group))


def _describe_pair(search: Search, pair: Pair) -> str:
    return (
        f"{_name(search, pair.first)} over {_name(search, pair.second)} by "
        f"{format_difference(pair.gap, search.metric)}, {format_p_value(pair.p)}"
    )


def name_pairs(search: Search, found: Sequence[Pair]) -> str:
    """Return `64 over 512 and 32 over 16`, at most NAMED pairs."""
    shown = [
        f"{_name(search, pair.first)} over {_name(search, pair.second)}" for pair in found[:NAMED]
    ]
    more = [f"{len(found) - NAMED} more"] if len(found) > NAMED else []
    return join_words([*shown, *more])
