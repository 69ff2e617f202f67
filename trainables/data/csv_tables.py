"""Read CSV and TSV as people write them: separators, quotes and broken rows."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from trainables.errors import UserError

HEAD = 1 << 20  # bytes of a file in which its first line is looked for
SAMPLE = 1000  # lines of a file that tell whether it has quotes
MAX_BLOCK = 1 << 30  # bytes that are parsed together: a field must fit in


def read_csv(path: Path, separator: str | None) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the columns of a file, as strings, and the rows with another number of values.

    A first line such as `sep=;` names the separator, as in Excel; else it is found where none is
    given. Raises UserError for a file whose first line does not name the columns, and for
    misplaced quotes; csv.Error, UnicodeError, OSError or ArrowException for what is no CSV.
    """
    with pa.input_stream(str(path), compression="detect") as stream:
        head = stream.read(HEAD).decode("utf-8-sig", errors="surrogateescape")
    line, _, rest = head.partition("\n")
    skipped = 0
    if excel := re.fullmatch('"?sep=(.)"?\r?', line, re.IGNORECASE):
        separator, head, skipped = excel[1], rest, 2
        line = head.partition("\n")[0]
    if separator is None:
        separator = max(",;\t|", key=lambda one: len(next(csv.reader([line], delimiter=one), [])))
    names = next(csv.reader(io.StringIO(head), delimiter=separator), [])
    is_quoted = separator != "\t" or _has_quotes(head)
    if is_quoted:
        _check_quotes(path, separator)
    columns, invalid, broken, longer = _parse_csv(path, separator, is_quoted, names, skipped)
    if longer > len(columns):  # each row ends with a separator that the first line lacks
        names, skipped = [*names, ""], skipped or 1
        columns, invalid, broken, _ = _parse_csv(path, separator, is_quoted, names, skipped)
    if broken > len(columns):
        raise UserError(
            f"{path}: {broken:,} of {broken + len(columns):,} rows have another "
            f"number of values than the first line, {line.strip()[:50]!r}\n"
            f"the first of them, {invalid[0]}\n"
            "the first line must name the columns: delete what stands above it, such as a title, "
            "and quote values with the separator in them"
        )
    if not len(columns):
        raise UserError(f"{path} has no row below its first line, which names the columns")
    return _drop_unnamed(columns), tuple(invalid)


def _parse_csv(
    path: Path, separator: str, is_quoted: bool, names: list[str], skipped: int = 0
) -> tuple[pa.Table, list[str], int, int]:
    """Return the columns, the lines of invalid rows, and how many rows these are.

    The last number is how many of them end with one separator more.

    The names are those of the first line, or, if that is skipped, those of the columns.
    """
    invalid: list[str] = []
    broken = longer = 0

    def skip(row: pa.csv.InvalidRow) -> str:
        nonlocal broken, longer
        broken += 1
        longer += row.actual_columns == row.expected_columns + 1 and row.text.endswith(separator)
        # A quote that is not closed swallows the lines after it.
        counts = f"{row.actual_columns} values instead of {row.expected_columns}"
        lines = max(1, len(row.text.splitlines()))
        invalid.extend([f"{path.name}: {counts}: {row.text[:50]!r}"] * lines)
        return "skip"

    size = MAX_BLOCK if path.name.lower().endswith(".gz") else path.stat().st_size + 1
    columns = pa.csv.read_csv(
        path,
        read_options=pa.csv.ReadOptions(
            use_threads=False,
            block_size=min(size, MAX_BLOCK),
            skip_rows=skipped,
            column_names=names if skipped else None,
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=separator,
            quote_char='"' if is_quoted else False,
            newlines_in_values=is_quoted,
            invalid_row_handler=skip,
        ),
        convert_options=pa.csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
    )
    return columns, invalid, broken, longer


def _drop_unnamed(columns: pa.Table) -> pa.Table:
    """Leave out the columns without a name and without a value."""
    kept = [
        number
        for number, name in enumerate(columns.column_names)
        if name.strip() or any(columns[number].to_pylist())
    ]
    return columns.select(kept)


def _check_quotes(path: Path, separator: str) -> None:
    """Raise UserError with the line where text follows a quoted value, as after `\\"` in it."""
    with pa.input_stream(str(path), compression="detect") as stream:
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        last = [""]

        def read_lines() -> Iterator[str]:
            for line in text:
                last[0] = line
                yield line
            last[0] = ""  # a quote that is not closed: the rows that it swallows are lost

        before = csv.field_size_limit(MAX_BLOCK)
        rows = csv.reader(read_lines(), delimiter=separator, strict=True)
        try:
            for _ in rows:
                pass
        except csv.Error as error:
            if last[0]:
                raise UserError(
                    f"{path} cannot be read as CSV\nline {rows.line_num}: text follows the quote "
                    f"that ends a value: {last[0].rstrip()[:100]!r}\n"
                    'write a quote inside a quoted value twice, as in "he said ""good""", not as '
                    '\\" (pandas.read_csv(FILE, escapechar="\\\\").to_csv(FILE, index=False))'
                ) from error
        finally:
            csv.field_size_limit(before)


def _has_quotes(head: str) -> bool:
    """Return whether the fields of a TSV are quoted; many of them have quotes as plain text."""
    lines = head.splitlines()[:SAMPLE]
    fields = [line.split("\t") for line in lines]
    if any(len(row) != len(fields[0]) for row in fields):
        rows = list(csv.reader(lines, delimiter="\t"))
        return sum(len(row) == len(fields[0]) for row in rows) > len(rows) / 2
    quoted = [field for row in fields for field in row if field.startswith('"')]
    return bool(quoted) and all(re.fullmatch(r'"(?:[^"]|"")*"', field) for field in quoted)
