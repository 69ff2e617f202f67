"""Numbers that others published beside ours: in the rows that they belong to, or in a table."""

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
    """Published numbers of one metric, by the place of their row among the groups."""

    metric: str
    values: Mapping[tuple[str, ...], tuple[float, ...]]  # in the metric's unit, 0..1 for shares
    entries: tuple[Entry, ...]

    @property
    def name(self) -> str:
        """The metric in words, without its unit, which every number has."""
        return self.metric.partition(",")[0].replace("_", " ").strip()

    def text(self, group: Group) -> str:
        found = self.values.get(group.values, ())
        return " / ".join(format_score(value, self.metric) for value in found)


def find_column(search: Search, found: Sequence[Group]) -> Column | None:
    """The numbers that belong to rows, of the metric that most rows have; None where none do.

    Of metrics that as many rows have, the one most like ours: validation before test.
    """
    if search.is_synthetic:
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
    counts = Counter({(_metric(entry), group.values): 1 for entry, group in placed})
    rows = Counter(metric for metric, _ in counts)
    split = search.metric.partition("_")[0]
    metric = max(rows, key=lambda m: (rows[m], m == search.metric, m.startswith(split)))
    values: dict[tuple[str, ...], tuple[float, ...]] = {}
    entries: list[Entry] = []
    for entry, group in placed:
        if _metric(entry) == metric:
            value = to_fraction(float(entry["value"]), metric)
            values[group.values] = (*values.get(group.values, ()), value)
            entries += [entry] if entry not in entries else []
    return Column(metric, values, tuple(entries))


def describe_ranking(search: Search, theirs: Column, found: Sequence[Pair]) -> str | None:
    """How many pairs of published rows are ordered here as there, and what noise may have done.

    None where fewer than two rows with different published numbers were compared.
    """
    both = [(pair, gap) for pair in found if (gap := _gap(search, theirs, pair))]
    if not both:
        return None
    alike = [pair for pair, gap in both if gap * pair.gap.value > 0]
    level = [pair for pair, gap in both if pair.gap.value == 0]
    turned = [pair for pair, gap in both if gap * pair.gap.value < 0]
    proven = [pair for pair in alike if pair.differs]
    beyond = [pair for pair in turned if pair.differs]
    proven_text = f" ({len(proven)} of these beyond chance)" if alike else ""
    of = "the one pair" if len(both) == 1 else f"{len(both)} pairs"
    text = (
        f"**Against the published order**: of {of} of rows with different published numbers "
        f"({theirs.name}), {len(alike)} {_are(alike)} ordered here as there"
        f"{proven_text}, {len(turned)} {_are(turned)} reversed"
        f"{f' and {len(level)} equal here' if level else ''}. "
    )
    if turned:
        text += (
            f"Reversed beyond chance: {_listed(search, theirs, beyond)}."
            if beyond
            else f"No reversal is beyond chance (here {pairs.name_pairs(search, turned)})."
        )
    text = text.strip()
    if is_share(search.metric) != is_share(theirs.metric):
        return text
    small = [pair for pair, gap in both if abs(gap) < (pair.gap.high - pair.gap.low) / 2]
    return text + (
        f" {format_count(len(small), 'published difference').capitalize()} of {len(both)} "
        f"{'is' if len(small) == 1 else 'are'} within our noise, that is smaller than the "
        "half-width of our 95 % interval for the same pair."
        if small
        else " No published difference is within our noise: all are larger than the half-width "
        "of our 95 % interval for the same pair."
    )


def _gap(search: Search, theirs: Column, pair: Pair) -> float:
    # How much better the first row is there; 0 where that is unknown.
    one = theirs.values.get(pair.first.values)
    two = theirs.values.get(pair.second.values)
    if not one or not two:
        return 0.0
    higher = is_share(theirs.metric) or search.mode == "max"
    return (one[0] - two[0]) * (1 if higher else -1)


def _listed(search: Search, theirs: Column, found: Sequence[Pair]) -> str:
    parts = []
    for pair in found[: pairs.NAMED]:
        there = mean_interval([_gap(search, theirs, pair)])
        parts.append(
            f"{pairs.name_pairs(search, [pair])} by {format_difference(pair.gap, search.metric)}, "
            f"there {format_difference(there, theirs.metric)}"
        )
    more = f"; and {len(found) - pairs.NAMED} more" if len(found) > pairs.NAMED else ""
    return "; ".join(parts) + more


def _are(found: Sequence[Pair]) -> str:
    return "is" if len(found) == 1 else "are"


def write_section(
    search: Search, choice: Choice, test: OpenedTest, placed: Column | None
) -> str | None:
    """Numbers of others that belong to no row, with ours in the same table.

    None where there are none, or all stand in the rows of the comparison.
    """
    if not search.published:
        return None
    if search.is_synthetic:
        return "Left out: numbers measured on synthetic data do not stand beside published ones."
    left = [e for e in search.published if placed is None or e not in placed.entries]
    if not left:
        return None
    rows = [
        (
            str(entry.get("setting", "")),
            _metric(entry).partition(",")[0].replace("_", " "),
            _value_text(entry.get("value"), _metric(entry) or search.metric),
            str(entry.get("note", "")),
        )
        for entry in left
    ]
    name = f"**this search, {choice.model.title}**"
    if test.accuracy is not None:
        a = test.accuracy
        note = f"95 % interval {a.low * 100:.2f} to {a.high * 100:.2f} %, n = {a.n:,}"
        rows.append((name, "test accuracy", format_score(a.value, "test_accuracy"), note))
    else:
        value = format_score(choice.model.metrics["score"], search.metric)
        metric = search.metric.replace("_", " ")
        rows.append((name, metric, value, "flattered: it was chosen by this"))
    table = Table(("setting", "metric", "value", "note"), tuple(rows), "llrl")
    data = search.tags.get("data_fingerprint", "not recorded")
    return to_markdown(drop_empty_columns(table)) + (
        "\n\nPublished numbers were measured by others, on their data and at their budget; ours "
        f"on the data with the fingerprint `{data}` and at the budget above. They compare only "
        "where these are the same."
    )


def _metric(entry: Entry) -> str:
    return str(entry.get("metric", ""))


def _value_text(value: object, metric: str) -> str:
    if isinstance(value, int | float) and is_finite(value):
        return format_score(value, metric)
    return str(value or "")
