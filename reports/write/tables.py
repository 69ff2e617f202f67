"""Tables as values: a header, rows of text and an alignment, written as markdown."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from reports.write.safe import escape_markdown

RULES = {"l": ":---", "r": "---:", "c": ":---:"}


@dataclass(frozen=True)
class Table:
    """Cells are plain text; `align` has one letter of l, r, c per column."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str

    def __post_init__(self) -> None:
        widths = {len(self.header), len(self.align), *(len(row) for row in self.rows)}
        if len(widths) != 1:
            raise ValueError(f"columns differ in number: {sorted(widths)} in {self.header}")
        if set(self.align) - set(RULES):
            raise ValueError(f"alignment {self.align!r} has letters other than l, r, c")


def to_markdown(table: Table) -> str:
    """A table as GitHub reads it."""
    lines = [table.header, tuple(RULES[letter] for letter in table.align), *table.rows]
    return "\n".join("| " + " | ".join(_cell(text) for text in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return escape_markdown(text).replace("|", "\\|")


def drop_empty_columns(table: Table) -> Table:
    """The table less the columns that have nothing to say in any row."""
    keep = [i for i in range(len(table.header)) if any(row[i] for row in table.rows)]
    return Table(
        tuple(table.header[i] for i in keep),
        tuple(tuple(row[i] for i in keep) for row in table.rows),
        "".join(table.align[i] for i in keep),
    )


def is_share(metric: str) -> bool:
    """Whether a metric is a fraction of examples, which people read in per cent.

    Metrics of others may have their unit behind a comma: `test accuracy, %`.
    """
    words = re.findall(r"[a-z]+", metric.lower())
    return words[-1:] in (["accuracy"], ["accuracies"], ["acc"]) or words[-2:] == [
        "exact",
        "match",
    ]


def format_score(value: float | None, metric: str) -> str:
    """A score as people read it: accuracies in per cent, everything else in four digits."""
    if value is None:
        return ""
    if is_share(metric):
        # Papers quote 97.6, programs 0.976; an accuracy of at most 1 % is not worth quoting.
        return f"{value * 100 if value <= 1 else value:.2f} %"
    return f"{value:.4g}"


def to_fraction(value: float, metric: str) -> float:
    """A score as a fraction where it is a share: 86.16 and 0.8616 are the same accuracy."""
    return value / 100 if is_share(metric) and value > 1 else value


def format_value(text: str) -> str:
    """A hyperparameter as stored (text), floats cut to three digits, all else as it is."""
    try:
        number = float(text)
    except ValueError:
        return text
    if text.strip().lstrip("+-").isdigit():
        return text
    return f"{number:.3g}"


def format_count(n: int, noun: str) -> str:
    """`1 trial`, `12 trials`, `5,000 trials`."""
    return f"{n:,} {noun}" + ("" if n == 1 else "s")


def duration_text(seconds: float) -> str:
    """Device time in the unit that leaves a readable number."""
    if seconds < 120:
        return f"{seconds:.3g} device-seconds"
    if seconds < 3600:
        return f"{seconds / 60:.3g} device-minutes"
    return f"{seconds / 3600:.3g} device-hours"


def join_words(parts: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else "".join(parts)
