"""Tables as values (header, rows of text, alignment), and the format of their cells."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from reports.numbers.statistics import is_finite
from reports.write.safe import escape_markdown, shorten

RULES = {"l": ":---", "r": "---:", "c": ":---:"}
ADDRESS = ":/?#&=@%+,;~.-_"  # characters that an address keeps within a markdown link
LONGEST = 400  # characters of a cell
UNEQUAL = {"balanced", "class", "classes", "macro", "mean", "per", "weighted"}
NAME = 60  # characters of a name or a value in a cell or a sentence


@dataclass(frozen=True)
class Table:
    """A table of plain text; `align` has one letter of l, r, c per column.

    `links`, if given, are addresses that the first cells of the rows lead to.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str
    links: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        widths = {len(self.header), len(self.align), *(len(row) for row in self.rows)}
        if len(widths) != 1:
            raise ValueError(f"header, rows, align have {sorted(widths)} columns: {self.header}")
        if set(self.align) - set(RULES):
            raise ValueError(f"alignment {self.align!r} has letters other than l, r and c")


def to_markdown(table: Table) -> str:
    """Return a table as GitHub's markdown."""
    rows = [[escape_markdown(shorten(text, LONGEST)) for text in row] for row in table.rows]
    for row, link in zip(rows, table.links, strict=False):
        row[0] = f"[{row[0]}]({quote(link, safe=ADDRESS)})" if link else row[0]
    return "\n".join(
        "| " + " | ".join(line) + " |"
        for line in (
            [escape_markdown(shorten(text, LONGEST)) for text in table.header],
            [RULES[letter] for letter in table.align],
            *rows,
        )
    )


def drop_empty_columns(table: Table) -> Table:
    """Return the table without the columns that are empty in every row."""
    keep = [i for i in range(len(table.header)) if any(row[i] for row in table.rows)]
    return Table(
        tuple(table.header[i] for i in keep),
        tuple(tuple(row[i] for i in keep) for row in table.rows),
        "".join(table.align[i] for i in keep),
        table.links,
    )


class NumberName(str):
    """The name of a metric that is no share, such as an accuracy in per cent, whatever it says."""


def is_share(metric: str) -> bool:
    """Return whether a metric is a fraction of examples, which is shown in per cent.

    Published metrics may have their unit behind a comma: `test accuracy, %`.
    """
    if isinstance(metric, NumberName):
        return False
    words = re.findall(r"[a-z]+", metric.lower())
    return words[-1:] in (["accuracy"], ["accuracies"], ["acc"]) or words[-2:] == [
        "exact",
        "match",
    ]


def is_proportion(metric: str) -> bool:
    """Return whether a metric is the share of correct examples, each of which counts the same.

    Only that is binomial: a balanced accuracy is a mean over classes, of few examples each.
    """
    words = set(re.findall(r"[a-z]+", metric.lower()))
    return is_share(metric) and not words & UNEQUAL


def format_score(value: float | None, metric: str) -> str:
    """Return a score as text: accuracies in per cent, other metrics in four digits."""
    if value is None:
        return ""
    if not is_finite(value):
        return "not reported"
    if is_share(metric):
        # Papers quote 97.6, programs 0.976; no published accuracy is below 1 %.
        return f"{value * 100 if value <= 1 else value:.2f} %"
    return f"{value:.4g}"


def to_fraction(value: float, metric: str) -> float:
    """Return a share as a fraction: 86.16 and 0.8616 are the same accuracy."""
    return value / 100 if is_share(metric) and value > 1 else value


def format_value(text: str) -> str:
    """Return a stored hyperparameter with floats in three digits; long text is cut."""
    try:
        number = float(text)
    except ValueError:
        return shorten(text, NAME)
    if text.strip().lstrip("+-").isdigit() or "_" in text:
        return shorten(text, NAME)
    return f"{number:.3g}"


def format_count(n: int, noun: str) -> str:
    """Return `1 trial`, `12 trials` or `5,000 trials`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def join_words(parts: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
