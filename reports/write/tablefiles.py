"""Every table of a report as files: CSV for other programs, LaTeX (booktabs) for papers."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pandas import DataFrame

from reports.numbers.statistics import is_finite
from reports.records import Search
from reports.write.style import to_words
from reports.write.tables import Table

ALIGNED = {"text-align:right": "r", "text-align:center": "c"}
NUMBER = r"-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( %)?"


def write_tables(
    text: str, search: Search, folder: Path, long: Mapping[str, Table] | None = None
) -> list[Path]:
    """Write the tables of a report and those of `long`, and all trials unrounded as trials.csv.

    Returns the paths. The text shows the tables of `long` in part or not at all.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "trials.csv"]
    write_trials(search, written[0])
    more = [(name, to_words(name), table) for name, table in (long or {}).items()]
    for name, heading, table in [*find_tables(text), *more]:
        written += [folder / f"{name}.csv", folder / f"{name}.tex"]
        to_numbers(table).to_csv(written[-2], index=False, lineterminator="\n")
        written[-1].write_text(to_latex(table, heading, name), encoding="utf-8")
    return written


def write_trials(search: Search, path: Path) -> None:
    """Write one row per trial: its hyperparameters, outcome and metrics, not rounded."""
    # Not a DataFrame, which takes ten times as long for thousands of metrics.
    header = ["trial", "outcome", "reason", "reports"]
    rows: list[list[object]] = [[t.number, t.outcome, t.reason, t.reports] for t in search.trials]
    every: dict[str, list[Mapping[str, str]]] = {
        "params": [t.params for t in search.trials],
        "suggested": [t.suggested for t in search.trials],
        "metrics": [_format_numbers(t.metrics) for t in search.trials],
        "reported": [_format_numbers(t.reported) for t in search.trials],
    }
    for kind, values in every.items():
        names = sorted({name for value in values for name in value})
        # The names are the user's: a hyperparameter may be called `trial`, and a metric `score`.
        taken = {*header}
        header += [f"{kind}.{name}" if name in taken else name for name in names]
        for row, value in zip(rows, values, strict=True):
            row += [value.get(name, "") for name in names]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])


def find_tables(text: str) -> Iterator[tuple[str, str, Table]]:
    """Yield file name, heading and content of every table of a markdown text."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    heading, seen = "report", Counter[str]()
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _to_text(tokens[i + 1])
        elif token.type == "table_open":
            end = next(j for j in range(i, len(tokens)) if tokens[j].type == "table_close")
            slug = _to_file_name(heading)
            seen[slug] += 1
            name = slug if seen[slug] == 1 else f"{slug}_{seen[slug]}"
            yield name, heading, _parse_table(tokens[i:end])


def to_numbers(table: Table) -> DataFrame:
    """Return cells as programs read them: numbers without commas, per cent in the header."""
    frame = _to_frame(table)
    header = list(table.header)
    for i, name in enumerate(header):
        cells = frame.iloc[:, i].replace("–", "")
        filled = cells[cells != ""]
        shares = filled.str.endswith(" %")
        if filled.str.fullmatch(NUMBER).all() and shares.any() == shares.all() and len(filled):
            frame.isetitem(i, cells.str.removesuffix(" %").str.replace(",", ""))
            header[i] = f"{name} (%)" if shares.all() else name
    return frame.set_axis(header, axis=1)


def to_latex(table: Table, caption: str, label: str) -> str:
    """Return a booktabs table; needs `\\usepackage{booktabs}`."""
    text: str = _to_frame(table).to_latex(
        index=False,
        escape=True,
        column_format=table.align,
        caption=re.sub(r"([&%$#_{}])", r"\\\1", caption),
        label=f"tab:{label}",
        position="htbp",
    )
    return text.replace("±", r"$\pm$").replace("≥", r"$\geq$").replace("–", "--")


def _to_frame(table: Table) -> DataFrame:
    return DataFrame(list(table.rows), columns=list(table.header), dtype=str)


def _format_numbers(values: Mapping[str, float]) -> dict[str, str]:
    # MLflow stores infinity as the largest double, since SQL databases have none: 10 times it.
    return {n: repr(v) if is_finite(v) else f"{v * 10:g}" for n, v in values.items()}


def _parse_table(tokens: list[Token]) -> Table:
    rows: list[list[str]] = []
    align = ""
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(_to_text(tokens[i + 1]))
            if token.type == "th_open":
                align += ALIGNED.get(str(token.attrGet("style")), "l")
    return Table(tuple(rows[0]), tuple(tuple(row) for row in rows[1:]), align)


def _to_text(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.content).strip()


def _to_file_name(heading: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")[:60] or "table"
