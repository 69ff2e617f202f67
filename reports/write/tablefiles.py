"""Every table of a report as files too: CSV to go on with, LaTeX (booktabs) to put in a paper."""

import csv
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reports.numbers.statistics import finite
from reports.records import Search
from reports.write.style import words
from reports.write.tables import Table

ALIGNED = {"text-align:right": "r", "text-align:center": "c"}
NUMBER = re.compile(r"-?\d[\d,]*(\.\d+)?(e[+-]?\d+)?( %)?")


def write_tables(
    text: str, search: Search, folder: Path, long: Mapping[str, Table] | None = None
) -> list[Path]:
    """Write the tables of a report, all trials unrounded as trials.csv, and what is too long."""
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "trials.csv"]
    write_trials(search, written[0])
    more = [(name, words(name), table) for name, table in (long or {}).items()]
    for name, heading, table in [*tables_of(text), *more]:
        written += [folder / f"{name}.csv", folder / f"{name}.tex"]
        with written[-2].open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(csv_rows(table))
        written[-1].write_text(latex(table, heading, name), encoding="utf-8")
    return written


def write_trials(search: Search, path: Path) -> None:
    """One row per trial: what was tried, what came of it, nothing rounded."""
    params = sorted({name for t in search.trials for name in t.params})
    metrics = sorted({name for t in search.trials for name in t.metrics} - set(params))
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow(["trial", "outcome", "reason", "reports", *params, *metrics])
        for t in search.trials:
            tried = [t.params.get(name, "") for name in params]
            came = [_number(t.metrics.get(name)) for name in metrics]
            out.writerow([t.number, t.outcome, t.reason or "", t.reports, *tried, *came])


def tables_of(text: str) -> Iterator[tuple[str, str, Table]]:
    """The tables of a markdown text: file name, heading they stand under, and content."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    heading, seen = "report", Counter[str]()
    for i, token in enumerate(tokens):
        if token.type == "heading_open":
            heading = _plain(tokens[i + 1])
        elif token.type == "table_open":
            end = next(j for j in range(i, len(tokens)) if tokens[j].type == "table_close")
            slug = _slug(heading)
            seen[slug] += 1
            name = slug if seen[slug] == 1 else f"{slug}_{seen[slug]}"
            yield name, heading, _table(tokens[i:end])


def csv_rows(table: Table) -> list[list[str]]:
    """Cells as programs read them: columns of numbers without commas, per cent in the header."""
    columns = [[row[i] for row in table.rows] for i in range(len(table.header))]
    header = list(table.header)
    for i, cells in enumerate(columns):
        filled = [cell for cell in cells if cell and cell != "–"]
        if not filled or not all(NUMBER.fullmatch(cell) for cell in filled):
            continue
        if all(cell.endswith(" %") for cell in filled):
            header[i] += " (%)"
        elif any(cell.endswith(" %") for cell in filled):
            continue
        columns[i] = [
            "" if cell == "–" else cell.removesuffix(" %").replace(",", "") for cell in cells
        ]
    return [header, *(list(row) for row in zip(*columns, strict=True))]


def latex(table: Table, caption: str, label: str) -> str:
    """A booktabs table; needs `\\usepackage{booktabs}`."""
    frame = pandas.DataFrame(list(table.rows), columns=list(table.header))
    text: str = frame.to_latex(
        index=False,
        escape=True,
        column_format=table.align,
        caption=re.sub(r"([&%$#_{}])", r"\\\1", caption),
        label=f"tab:{label}",
        position="htbp",
    )
    return text.replace("±", r"$\pm$").replace("≥", r"$\geq$").replace("–", "--")


def _number(value: float | None) -> str:
    # SQL databases hold no infinity; what stands for it is written as what it is.
    return "" if value is None else f"{value!r}" if finite(value) else f"{value * 10:g}"


def _table(tokens: list[Token]) -> Table:
    rows: list[list[str]] = []
    align = ""
    for i, token in enumerate(tokens):
        if token.type == "tr_open":
            rows.append([])
        elif token.type in ("th_open", "td_open"):
            rows[-1].append(_plain(tokens[i + 1]))
            if token.type == "th_open":
                align += ALIGNED.get(str(token.attrGet("style")), "l")
    return Table(tuple(rows[0]), tuple(tuple(row) for row in rows[1:]), align)


def _plain(token: Token) -> str:
    return "".join(child.content for child in token.children or () if child.content).strip()


def _slug(heading: str) -> str:
    ascii_only = unicodedata.normalize("NFKD", heading).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")[:60] or "table"
