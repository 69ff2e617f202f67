"""Published results next to ours: in the rows that they belong to, or in a table."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reports.chapters.comparison import pairs
from reports.chapters.comparison.groups import Group, is_match
from reports.chapters.comparison.pairs import Pair
from reports.numbers.statistics import is_finite, mean_interval
from reports.read.opened_test import OpenedTest
from reports.read.winner import Choice
from reports.records import Search
from reports.write.intervals import format_difference
from reports.write.safe import escape_markdown, format_code
from reports.write.tables import (
    Table,
    drop_empty_columns,
    format_count,
    format_score,
    is_share,
    to_fraction,
    to_markdown,
)

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """Published results of one metric, by the values of the group that they belong to."""

    metric: str
    values: Mapping[tuple[str, ...], tuple[float, ...]]  # in the metric's unit, 0..1 for shares
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """Return the metric in words, without its unit, which every number has."""
        return self.metric.partition(",")[0].replace("_", " ").strip()

    def text(self, group: Group) -> str:
        """Return the published results of a group as text."""
        found = self.values.get(group.values, ())
        return " / ".join(format_score(value, self.metric) for value in found)


def find_column(search: Search, found: Sequence[Group]) -> Column | None:
    """Return the results that belong to groups, of the metric that most groups have, or None.

    Of equally common metrics the one most similar to ours is used: validation before test.
    """
    if search.is_synthetic or search.has_own_data:
        return None
    placed = [
        (entry, group)
        for entry in search.published
        for group in found
        if isinstance(entry.get("of"), dict)
        and entry["of"]
        and isinstance(entry.get("value"), int | float)
        and is_finite(entry["value"])
        and is_match(group, entry["of"], search.compare)
    ]
    if not placed:
        return None
    counts = Counter({(_get_metric(entry), group.values): 1 for entry, group in placed})
    rows = Counter(metric for metric, _ in counts)
    split = search.metric.partition("_")[0]
    metric = max(rows, key=lambda m: (rows[m], m == search.metric, m.startswith(split)))
    values: dict[tuple[str, ...], tuple[float, ...]] = {}
    entries: list[Entry] = []
    for entry, group in placed:
        if _get_metric(entry) == metric:
            value = to_fraction(float(entry["value"]), metric)
            values[group.values] = (*values.get(group.values, ()), value)
            entries += [entry] if entry not in entries else []
    return Column(metric, values, tuple(entries))


def describe_ranking(search: Search, theirs: Column, found: Sequence[Pair]) -> str | None:
    """Return how many pairs have the same ranking here as in the published results.

    None if fewer than two groups with different published results were compared.
    """
    both = [(pair, gap) for pair in found if (gap := _find_gap(search, theirs, pair))]
    if not both:
        return None
    same = [pair for pair, gap in both if gap * pair.gap.value > 0]
    equal = [pair for pair, gap in both if pair.gap.value == 0]
    turned = [pair for pair, gap in both if gap * pair.gap.value < 0]
    significant = [pair for pair in same if pair.is_significant]
    reversals = [pair for pair in turned if pair.is_significant]
    of_these = f" ({len(significant)} of these significantly)" if same else ""
    of = "the one pair" if len(both) == 1 else f"{len(both)} pairs"
    text = (
        f"**Published ranking**: of {of} of rows with different published results "
        f"({escape_markdown(theirs.name)}), {len(same)} {_is_or_are(same)} in the same order here"
        f"{of_these}, {len(turned)} {_is_or_are(turned)} reversed"
        f"{f' and {len(equal)} equal here' if equal else ''}. "
    )
    if turned:
        text += (
            f"Significantly reversed: {_list_pairs(search, theirs, reversals)}."
            if reversals
            else f"No reversal is significant (here {pairs.name_pairs(search, turned)})."
        )
    text = text.strip()
    if is_share(search.metric) != is_share(theirs.metric):
        return text
    both = [(pair, gap) for pair, gap in both if pair.gap.is_known]
    if not both:
        return text
    small = [pair for pair, gap in both if abs(gap) < (pair.gap.high - pair.gap.low) / 2]
    return text + (
        f" {format_count(len(small), 'published difference').capitalize()} of {len(both)} "
        f"{'is' if len(small) == 1 else 'are'} below the resolution of this search, that is "
        "smaller than the half-width of our 95 % interval for the same pair."
        if small
        else " No published difference is below the resolution of this search: all are larger "
        "than the half-width of our 95 % interval for the same pair."
    )


def _find_gap(search: Search, theirs: Column, pair: Pair) -> float:
    # How much better the first group is in the published results; 0 if unknown.
    one = theirs.values.get(pair.first.values)
    two = theirs.values.get(pair.second.values)
    if not one or not two:
        return 0.0
    higher = is_share(theirs.metric) or search.mode == "max"
    return (one[0] - two[0]) * (1 if higher else -1)


def _list_pairs(search: Search, theirs: Column, found: Sequence[Pair]) -> str:
    parts = []
    for pair in found[: pairs.NAMED]:
        there = mean_interval([_find_gap(search, theirs, pair)])
        parts.append(
            f"{pairs.name_pairs(search, [pair])} by {format_difference(pair.gap, search.metric)}, "
            f"published {format_difference(there, theirs.metric)}"
        )
    more = f"; and {len(found) - pairs.NAMED} more" if len(found) > pairs.NAMED else ""
    return "; ".join(parts) + more


def _is_or_are(found: Sequence[Pair]) -> str:
    return "is" if len(found) == 1 else "are"


def write_section(
    search: Search, choice: Choice, test: OpenedTest, placed: Column | None
) -> str | None:
    """Return published results that belong to no group, with ours in the same table.

    None if there are none, or if all are in the rows of the comparison.
    """
    if not search.published:
        return None
    if search.is_synthetic:
        return "Not available: results on synthetic data are not compared with published ones."
    if search.has_own_data:
        return "Not available: the data have other classes than those of the published results."
    numbers = [e for e in search.published if "better" not in e]
    left = [e for e in numbers if placed is None or e not in placed.entries]
    if not left:
        return None
    rows = [
        (
            str(entry.get("setting", "")),
            _get_metric(entry).partition(",")[0].replace("_", " "),
            _format_result(entry.get("value"), _get_metric(entry) or search.metric),
            str(entry.get("note", "")),
        )
        for entry in left
    ]
    name = f"this search, {choice.model.title}"
    if (mean := test.confirmed) is not None:
        name = f"this search, re-runs of trial {choice.winner.number}"
        ends = f"95 % interval {mean.low * 100:.2f} to {mean.high * 100:.2f} %, "
        note = f"mean of {len(test.reruns[choice.winner.number])} seeds, "
        note += f"{ends if mean.is_known else ''}n = {mean.n:,}"
        rows.append((name, "test accuracy", format_score(mean.value, "test_accuracy"), note))
    elif test.accuracy is not None:
        a = test.accuracy
        note = f"95 % interval {a.low * 100:.2f} to {a.high * 100:.2f} %, n = {a.n:,}"
        rows.append((name, "test accuracy", format_score(a.value, "test_accuracy"), note))
    else:
        value = format_score(choice.model.metrics["score"], search.metric)
        metric = search.metric.replace("_", " ")
        rows.append((name, metric, value, "optimistically biased (selection)"))
    table = Table(("setting", "metric", "value", "note"), tuple(rows), "llrl")
    data = search.tags.get("data_fingerprint", "not recorded")
    return to_markdown(drop_empty_columns(table)) + (
        "\n\nPublished results were measured on the data and with the budget of their authors, "
        f"ours on the data with the fingerprint {format_code(data)} and with the budget above. "
        "Absolute values are comparable only if these are the same."
    )


def _get_metric(entry: Entry) -> str:
    return str(entry.get("metric", ""))


def _format_result(value: object, metric: str) -> str:
    if isinstance(value, int | float) and is_finite(value):
        return format_score(value, metric)
    return str(value or "")
