"""Published orders without numbers, beside the order that was found here."""

from collections.abc import Mapping, Sequence
from typing import Any

from reports.chapters.comparison.groups import Group, is_match
from reports.chapters.comparison.pairs import Pair
from reports.records import Search
from reports.write.intervals import format_difference, format_p_value
from reports.write.sections import join_paragraphs
from reports.write.tables import Table, drop_empty_columns, format_value, to_markdown

Values = Mapping[str, Any]


def describe_orders(search: Search, found: Sequence[Pair]) -> str | None:
    """Return a table of published orders and ours, with the test of each; None without any."""
    if search.is_synthetic or search.has_own_data:
        return None
    rows = []
    for entry in search.published:
        better, worse = entry.get("better"), entry.get("worse")
        if not isinstance(better, dict) or not isinstance(worse, dict):
            continue
        order = f"{_name(better)} over {_name(worse)}"
        pairs = [pair for pair in found if _find_sign(search, pair, better, worse)]
        rows += [
            (
                order,
                _name_rest(search, pair, {**better, **worse}),
                _describe_here(_find_sign(search, pair, better, worse), pair),
                format_difference(pair.gap, search.metric),
                format_p_value(pair.p),
                str(entry.get("note", "")),
            )
            for pair in pairs
        ]
        if not pairs:
            rows.append((order, "", "not compared", "", "", str(entry.get("note", ""))))
    if not rows:
        return None
    header = ("published order", "for", "here", "difference here", "p", "note")
    return join_paragraphs(
        "Orders that were published without numbers:",
        to_markdown(drop_empty_columns(Table(header, tuple(rows), "lllrrl"))),
    )


def _find_sign(search: Search, pair: Pair, better: Values, worse: Values) -> int:
    """Return 1 for a pair in the published order, -1 for a reversed one, 0 for any other.

    The two groups agree in every compared hyperparameter that the order does not name.
    """
    values = zip(search.compare, pair.first.values, pair.second.values, strict=True)
    if any(one != two for name, one, two in values if name not in {*better, *worse}):
        return 0

    def matches(first: Group, second: Group) -> bool:
        return is_match(first, better, search.compare) and is_match(second, worse, search.compare)

    return int(matches(pair.first, pair.second)) - int(matches(pair.second, pair.first))


def _describe_here(sign: int, pair: Pair) -> str:
    if pair.gap.value == 0:
        return "equal"
    order = "the same" if sign > 0 else "reversed"
    return f"{order}, {'significant' if pair.is_significant else 'not significant'}"


def _name(values: Values) -> str:
    return ", ".join(f"{name} {format_value(str(value))}" for name, value in values.items())


def _name_rest(search: Search, pair: Pair, named: Values) -> str:
    rest = zip(search.compare, pair.first.values, strict=True)
    return ", ".join(f"{name} {format_value(text)}" for name, text in rest if name not in named)
