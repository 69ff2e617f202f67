"""Tables of texts in every format and encoding, and files that are none."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.data.source import DataMissingError
from trainables.data.text import define_text_source
from trainables.data.text_tables import Table, find_tables, read_table
from trainables.errors import UserError

TALK = define_text_source("talk", "somebody/talk", ("no", "yes"))
TEXTS = ["a good film", 'they said "no"', "two\nlines, and more", "schön – 日本", ""]
LABELS = ["01", "1.0", "NA", "true", "2024-05-01"]


def _encode(separator: str = ",", end: str = "\n") -> str:
    file = io.StringIO(newline="")
    table = csv.writer(file, delimiter=separator, lineterminator=end)
    table.writerows([("review", "stars"), *zip(TEXTS, LABELS, strict=True)])
    return file.getvalue()


def _columns(table: Table) -> list[list[Any]]:
    return [table.columns[name].to_pylist() for name in ("review", "stars")]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", _encode().encode()),
        ("excel.csv", _encode(";", "\r\n").encode("utf-8-sig")),
        ("sep.csv", b"sep=;\r\n" + _encode(";", "\r\n").encode()),
        ("a.TSV", _encode("\t").encode()),
        ("a.csv.gz", gzip.compress(_encode().encode())),
    ],
)
def test_tables_are_read_as_they_are_written(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    assert _columns(table) == [TEXTS, LABELS]
    assert (table.invalid, table.has_header) == ((), True)


def test_json_lines_json_and_parquet(tmp_path: Path) -> None:
    rows = [{"review": text, "stars": i, "x": None} for i, text in enumerate(TEXTS)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "b.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "c.parquet")
    for name in ("a.jsonl", "b.json", "c.parquet"):
        assert _columns(read_table(tmp_path / name)) == [TEXTS, [0, 1, 2, 3, 4]]


def test_quotes_of_a_tsv_may_be_plain_text(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('review\tstars\n"so" he said\t1\nand "that\t2\n"then\t3\n')
    assert _columns(read_table(path)) == [['"so" he said', 'and "that', '"then'], ["1", "2", "3"]]


@pytest.mark.parametrize("header", ["review,stars", "review,stars,", "review,stars,,"])
def test_separators_at_the_ends_of_all_rows_are_no_column(tmp_path: Path, header: str) -> None:
    path = tmp_path / "a.csv"
    end = "," * max(1, header.count(",") - 1)
    path.write_text(f"{header}\nso good,1{end}\nso bad,2{end}\n", encoding="utf-8-sig")
    table = read_table(path)
    assert table.columns.to_pydict() == {"review": ["so good", "so bad"], "stars": ["1", "2"]}
    assert (table.invalid, table.has_header) == ((), True)


def test_a_quote_in_a_quoted_value_that_is_not_written_twice_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for row in ('"0 he said \\"good\\" film",a', '"0 he said "good" film",a'):
        path.write_text(f'review,stars\n"fine\n""one""",b\n{row}\n')
        with pytest.raises(UserError, match=r"a.csv cannot be read as CSV\nline 4: .*he said"):
            read_table(path)
    path.write_text('review,stars\nsays "hi" to,a\n"C:\\",b\n')
    assert _columns(read_table(path)) == [['says "hi" to', "C:\\"], ["a", "b"]]


def test_a_field_may_be_large(tmp_path: Path) -> None:
    text = "long, " * 1_000_000
    path = tmp_path / "a.csv"
    path.write_text(f'review,stars\n"{text}",1\nshort,2\n')
    assert _columns(read_table(path))[0] == [text, "short"]


def test_rows_of_another_length_are_counted_with_all_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("review,stars\na,1\na,b,2\nc,3\n")
    table = read_table(path)
    assert table.invalid == ("a.csv: 3 values instead of 2: 'a,b,2'",)
    assert len(table.columns) == 2
    path.write_text('review,stars\na,1\n"not closed,2\n' + "c,3\n" * 9)
    assert len(read_table(path).invalid) == 10


def test_entries_of_a_json_list_that_are_no_objects_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('[{"review": "a"}, "lost", {"review": "b", "stars": 1}]')
    table = read_table(path)
    assert _columns(table) == [["a", "b"], [None, 1]]
    assert table.invalid == ("a.json row 2: no object: 'lost'",)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "review,stars\nok,1\nschön,2\n".encode("latin-1"), "line 3 is not UTF-8"),
        ("a.csv", "review,stars\nok,1\n".encode("utf-16"), "it is UTF-16"),
        ("a.csv", b"", "cannot be read as CSV"),
        ("a.jsonl", b'{"review": "x"}\n{oops\n', "cannot be read as JSONL"),
        ("a.jsonl", b'{"review": "sch\xf6n"}\n', "line 1 is not UTF-8"),
        (
            "a.csv",
            b"Title\n\na,b\n1,2\n",
            "line, 'Title'\nthe first of them, a.csv",
        ),
        ("a.csv", b"a,b\n", "has no row below its first line"),
        ("a.parquet", b"PAR1 but not really", "cannot be read as Parquet"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UserError, match=said) as caught:
        read_table(path)
    assert str(path) in str(caught.value)


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("reviews.csv", "README.md", ".hidden.csv"), {"train": ["reviews.csv"]}),
        (
            ("talk/Train.tsv", "talk/VAL.jsonl"),
            {"train": ["Train.tsv"], "validation": ["VAL.jsonl"]},
        ),
        (
            ("data/training.csv.gz", "data/testing.csv"),
            {"train": ["training.csv.gz"], "test": ["testing.csv"]},
        ),
        (
            ("train-00000-of-00002.parquet", "train-00001-of-00002.parquet"),
            {"train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"]},
        ),
    ],
)
def test_tables_are_found(
    tmp_path: Path, names: tuple[str, ...], parts: dict[str, list[str]]
) -> None:
    _touch(tmp_path, *names)
    found = find_tables(TALK, tmp_path)
    assert {part: [path.name for path in paths] for part, paths in found.items()} == parts


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("a.csv", "b.csv"), "several tables: a.csv, b.csv"),
        (("test.csv", "val.csv"), "but no file train"),
        (("train.csv", "train.tsv"), "several tables of train"),
        (("train.csv", "val.csv", "valid.csv"), "several tables of validation"),
        (("train-00000-of-00003.parquet",), "holds 1 files of train, .* 3:"),
    ],
)
def test_tables_that_are_not_clear_are_named(
    tmp_path: Path, names: tuple[str, ...], said: str
) -> None:
    _touch(tmp_path, *names)
    with pytest.raises(UserError, match=said):
        find_tables(TALK, tmp_path)


def test_tables_are_regular_files(tmp_path: Path) -> None:
    _touch(tmp_path, "train.csv")
    os.mkfifo(tmp_path / "test.csv")
    with pytest.raises(UserError, match=r"test.csv is no regular file"):
        find_tables(TALK, tmp_path)
    (tmp_path / "test.csv").unlink()
    (tmp_path / "val.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"val.csv is no regular file, nor a link to one"):
        find_tables(TALK, tmp_path)


def test_what_is_no_table_is_an_error(tmp_path: Path) -> None:
    _touch(tmp_path, "reviews.xlsx")
    with pytest.raises(DataMissingError, match=r"train.parquet[\s\S]*\.csv"):
        find_tables(TALK, tmp_path)
    with pytest.raises(UserError, match=r"reviews.xlsx is no table .*\nsave it as CSV"):
        find_tables(TALK, tmp_path / "reviews.xlsx")
