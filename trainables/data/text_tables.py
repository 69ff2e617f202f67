"""Tables of texts as people have them: CSV, TSV, JSON lines or Parquet, one file or one per part.

A table in a file of text has columns of strings, so that labels stay as they are written.
"""

from __future__ import annotations

import csv
import io
import json
import re
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from trainables.data.csv_tables import MAX_BLOCK, read_csv
from trainables.data.hub import first_line
from trainables.data.source import DataMissingError, Source, describe_options
from trainables.data.splitting import NAMES, list_names
from trainables.errors import UserError

SUFFIXES = (".csv", ".tsv", ".tab", ".jsonl", ".ndjson", ".json", ".parquet")
SEPARATORS = {".tsv": "\t", ".tab": "\t"}


@dataclass(frozen=True)
class Table:
    """The columns of a file, and the rows that have another number of values."""

    path: Path
    columns: pa.Table
    class_names: dict[str, tuple[str, ...]]  # per column, as named in a Parquet file
    invalid: tuple[str, ...]
    has_header: bool = False  # the names of the columns are its first line


def find_tables(source: Source, folder: Path) -> dict[str, list[Path]]:
    """Find the files of each part; train alone where there is one file without parts.

    `folder` is a file, or holds the files or a folder of the source's name. Raises
    DataMissingError without a table, UserError where it is not clear which are meant.
    """
    if folder.is_file():
        if _get_suffix(folder) not in SUFFIXES:
            raise UserError(
                f"{folder} is no table that can be read\nsave it as CSV (UTF-8), TSV, JSON lines "
                f"or Parquet: its name must end in one of {', '.join(SUFFIXES)}"
            )
        return {"train": [folder]}
    inner = ("", "data", *([source.hub_config] if source.hub_config else []))
    for place in (root / part for root in (folder / source.name, folder) for part in inner):
        files = [p for p in _list_files(place) if _get_suffix(p) in SUFFIXES]
        parts: dict[str, list[Path]] = {}
        for path in files:
            if part := _get_part(path):
                parts.setdefault(part, []).append(path)
        if parts:
            _check_parts(place, parts)
            return {part: parts[part] for part in dict.fromkeys(NAMES.values()) if part in parts}
        if len(files) > 1:
            raise UserError(
                f"{place} has several tables: {list_names([path.name for path in files])}\n"
                "name one with --data-dir FILE, or call them train, validation and test"
            )
        if files:
            return {"train": files}
    raise DataMissingError(
        f"{source.name}: no data in {folder}{'' if folder.is_dir() else ' (no such folder)'}\n"
        f"looked for one table, or for train.parquet, validation.parquet and test.parquet (also "
        f"{', '.join(SUFFIXES[:-1])})\n" + describe_options(source)
    )


def read_table(path: Path) -> Table:
    """Read a table; raises UserError with the reason if that is not possible."""
    suffix = _get_suffix(path)
    try:
        if suffix == ".parquet":
            columns = pq.read_table(path)
            return Table(path, columns, _read_class_names(columns.schema), ())
        if suffix in (".csv", ".tsv", ".tab"):
            columns, invalid = read_csv(path, SEPARATORS.get(suffix))
            return Table(path, columns, {}, invalid, has_header=True)
        columns, invalid = _read_json(path)
        return Table(path, columns, {}, invalid)
    except (OSError, pa.ArrowException, csv.Error, UnicodeError, ValueError) as error:
        kind = {".parquet": "Parquet", ".csv": "CSV"}.get(suffix, suffix[1:].upper())
        encoding = _find_encoding_error(path) if suffix != ".parquet" else None
        raise UserError(
            f"{path} cannot be read as {kind}\n"
            + (encoding or f"{first_line(error)[:300]}\ncorrect the file, or write it again")
        ) from error


def _get_suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return f".{name.rpartition('.')[2]}"


def _get_part(path: Path) -> str | None:
    """Return the part that a file holds, also as a shard such as train-00000-of-00002."""
    stem = path.name.lower().partition(".")[0]
    return NAMES.get(re.sub(r"-\d+(-of-\d+)?$", "", stem))


def _list_files(place: Path) -> list[Path]:
    if not place.is_dir():
        return []
    visible = sorted(path for path in place.iterdir() if not path.name.startswith("."))
    for path in visible:
        if _get_suffix(path) in SUFFIXES and not (path.is_file() or path.is_dir()):
            raise UserError(
                f"{path} is no regular file, nor a link to one\n"
                "replace it by the table itself, or remove it"
            )
    return [path for path in visible if path.is_file()]


def _check_parts(place: Path, parts: dict[str, list[Path]]) -> None:
    if "train" not in parts:
        found = [path.name for paths in parts.values() for path in paths]
        raise UserError(f"{place} has {list_names(found)}, but no file train")
    for part, paths in parts.items():
        names = [path.name for path in paths]
        counts = {int(n[1]) for name in names if (n := re.search(r"-of-(\d+)\.", name))}
        if counts and counts != {len(paths)}:
            raise UserError(
                f"{place} holds {len(paths)} files of {part}, of which the names tell "
                f"{max(counts)}: {list_names(names)}\ncopy all of them there, and no others"
            )
        if not counts and len(paths) > 1 and not all("-" in name for name in names):
            raise UserError(f"{place} has several tables of {part}: {list_names(names)}\nkeep one")


def _read_class_names(schema: pa.Schema) -> dict[str, tuple[str, ...]]:
    metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = metadata.get("info", {}).get("features", {})
    return {
        column: tuple(feature["names"])
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("names")
    }


def _read_json(path: Path) -> tuple[pa.Table, tuple[str, ...]]:
    """Return the rows of a file, and those that are no objects."""
    text = _read_text(path)  # which checks the encoding: pyarrow's reader does not
    if text.lstrip().startswith("["):
        rows = json.loads(text)
        objects = [row for row in rows if isinstance(row, dict)]
        names = dict.fromkeys(name for row in objects for name in row)
        invalid = [
            f"{path.name} row {number}: no object: {row!r:.50}"
            for number, row in enumerate(rows, 1)
            if not isinstance(row, dict)
        ]
        # By all names: pyarrow alone takes those of the first row.
        columns = {name: [row.get(name) for row in objects] for name in names}
        return pa.Table.from_pydict(columns), tuple(invalid)
    content = text.encode()
    options = pa.json.ReadOptions(use_threads=False, block_size=min(len(content) + 1, MAX_BLOCK))
    return pa.json.read_json(io.BytesIO(content), read_options=options), ()


def _read_text(path: Path) -> str:
    """Return the text of a file, which may be compressed."""
    with pa.input_stream(str(path), compression="detect") as stream:
        content: bytes = stream.read()
    return content.decode("utf-8-sig")


def _find_encoding_error(path: Path) -> str | None:
    """Return where a file is not UTF-8, and what to do; None if it is."""
    try:
        _read_text(path)
    except UnicodeDecodeError as error:
        content = bytes(error.object)
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            return "it is UTF-16\nsave it as UTF-8, or iconv -f UTF-16 -t UTF-8"
        line = content.count(b"\n", 0, error.start) + 1
        shown = content[max(0, error.start - 15) : error.start + 15].decode("latin-1")
        return (
            f"line {line} is not UTF-8: {shown!r}\n"
            "save it as UTF-8, or iconv -f WINDOWS-1252 -t UTF-8 if it is from Windows"
        )
    except (OSError, pa.ArrowException):
        return None
    return None
