"""Every table of a report as files: CSV for other programs, LaTeX (booktabs) for papers."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas
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
    rows = [(t.number, t.outcome, t.reason, t.reports) for t in search.trials]
    about = DataFrame(rows, columns=["trial", "outcome", "reason", "reports"])
    params = DataFrame([t.params for t in search.trials])
    suggested = DataFrame([t.suggested for t in search.trials])
    own, reported = (
        DataFrame([{name: _format_number(value) for name, value in t.items()} for t in metrics])
        for metrics in ([t.metrics for t in search.trials], [t.reported for t in search.trials])
    )
    table = about
    every = (
        ("params", params),
        ("suggested", suggested),
        ("metrics", own),
        ("reported", reported),
    )
    for kind, more in every:
        # The names are the user's: a hyperparameter may be called `trial`, and a metric `score`.
        taken = {name: f"{kind}.{name}" for name in more.columns if name in table.columns}
        table = pandas.concat([table, more.sort_index(axis=1).rename(columns=taken)], axis=1)
    table.to_csv(path, index=False, lineterminator="\n")


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


def _format_number(value: float) -> str:
    # MLflow stores infinity as the largest double, since SQL databases have none: 10 times it.
    return f"{value!r}" if is_finite(value) else f"{value * 10:g}"


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
