"""Text data sets from Parquet files in the hub's layout: valid, damaged and missing ones."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.data.own import OWN_TEXTS
from trainables.data.source import DataMissingError
from trainables.data.text import TextData, build_ground_truth, define_text_source, load
from trainables.data.text_columns import Columns
from trainables.errors import UserError

TALK = define_text_source("talk", "somebody/talk", ("no", "yes"))


def _write(path: Path, texts: list[Any], labels: list[Any], classes: str = "no yes") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({"text": texts, "label": pa.array(labels, pa.int64())})
    note = {"info": {"features": {"label": {"names": classes.split(), "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(note)}), path)


def _fill(folder: Path, **more: int) -> None:
    for split, count in {"train": 40, "test": 6, **more}.items():
        texts = [f"{split} says {i} – ja" for i in range(count)]
        _write(folder / f"{split}.parquet", texts, [i % 2 for i in range(count)])


def _load(tmp_path: Path, **settings: Any) -> TextData:
    chosen = {"folder": tmp_path / "data", "cache": tmp_path / "cache", **settings}
    return load(TALK, **chosen)


def test_few_texts_are_scored_and_not_searched(tmp_path: Path) -> None:
    (tmp_path / "few.csv").write_text("text,label\na film,no\nanother,no\n")
    settings: dict[str, Any] = {"folder": tmp_path / "few.csv", "cache": tmp_path / "cache"}
    found = load(OWN_TEXTS, **settings, may_be_few=True)
    assert sum(map(len, found.splits.values())) == 2
    with pytest.raises(UserError, match=r"fewer than 3 different examples .*\n  no: 2"):
        load(OWN_TEXTS, **settings)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    _fill(tmp_path / "data" / "talk", validation=4)
    data = _load(tmp_path)
    assert data.train.texts[7] == "train says 7 – ja"
    assert data.validation.texts.tolist() == [f"validation says {i} – ja" for i in range(4)]
    assert {name: len(part) for name, part in data.splits.items()} == {
        **{"train": 40, "validation": 4, "test": 6}
    }
    truth = build_ground_truth(data)
    assert truth.inputs is not None
    assert truth.inputs("test")[5] == "test says 5 – ja"
    assert truth.targets["test"].tolist() == [0, 1, 0, 1, 0, 1]


def test_a_missing_validation_split_is_stratified_and_always_the_same(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    data = _load(tmp_path)
    assert np.bincount(data.validation.labels).tolist() == [2, 2]
    assert len(data.train) == 36
    assert not set(data.train.texts) & set(data.validation.texts)
    assert data.validation.texts.tolist() == _load(tmp_path).validation.texts.tolist()


def test_another_content_has_another_fingerprint(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    first = _load(tmp_path).fingerprint
    _fill(tmp_path / "data", test=8)
    assert _load(tmp_path).fingerprint != first


@pytest.mark.parametrize(
    ("texts", "labels", "classes", "said"),
    [
        (["a", None], [0, 1], "no yes", r"2.4%.*\n  test.parquet row 2: no text\n.*=0.03"),
        (["a", " "], [0, 1], "no yes", "row 2: no text"),
        (["a", "b"], [0, 2], "no yes", "row 2: no label of a class"),
        (["a", "b"], [0, None], "no yes", "row 2: no label of a class"),
        ([], [], "no yes", "test is empty"),
        (["a", "b"], [0, 1], "yes no", "the files have different classes"),
    ],
)
def test_invalid_rows_are_named(
    tmp_path: Path, texts: list[Any], labels: list[Any], classes: str, said: str
) -> None:
    _fill(tmp_path / "data")
    _write(tmp_path / "data" / "test.parquet", pa.array(texts, pa.string()), labels, classes)
    with pytest.raises(UserError, match=said):
        _load(tmp_path)


def test_a_loss_can_be_accepted(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    _write(tmp_path / "data" / "test.parquet", ["a", None, "c"], [0, 1, 1])
    assert _load(tmp_path, accept_losses=0.03).test.texts.tolist() == ["a", "c"]
    with pytest.raises(UserError, match="accept_losses"):
        _load(tmp_path)


def _csv(path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


NAMES = ("<b>x", "cats|dogs", "it's", "日本 #1")
ROWS = [(f"a film that is {i % 4} of {i}", NAMES[i % 4], i // 10) for i in range(80)]


def test_a_table_of_the_users_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = _csv(tmp_path / "reviews.csv", ROWS, ("review", "stars", "who"))
    data = _load(tmp_path, folder=file)
    assert data.classes == NAMES
    assert [len(part) for part in data.splits.values()] == [64, 8, 8]
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2, 2]
    for part in data.splits.values():
        for text, label in zip(part.texts, part.labels, strict=True):
            assert (text, data.classes[label]) in {row[:2] for row in ROWS}
    told = capfd.readouterr().err
    assert f"texts in the column 'review' of {file}, labels in 'stars'\n" in told
    assert "split: 64 train, 8 validation, 8 test (validation and test drawn from train)" in told
    assert _load(tmp_path, folder=file).fingerprint == data.fingerprint
    assert capfd.readouterr().err == ""


def test_copies_and_groups_are_kept_in_one_part(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [row for row in ROWS for _ in range(3)]
    file = _csv(tmp_path / "reviews.csv", rows, ("review", "stars", "who"))
    plain = _load(tmp_path, folder=file)
    texts = [set(part.texts) for part in plain.splits.values()]
    assert sum(map(len, texts)) == len(set.union(*texts)) == 80
    assert "copies: 160 of 80 examples" in capfd.readouterr().err
    grouped = _load(tmp_path, folder=file, columns=Columns(group="who"))
    who = {row[0]: row[2] for row in rows}
    owners = [{who[text] for text in part.texts} for part in grouped.splits.values()]
    assert sum(map(len, owners)) == len(set.union(*owners)) == 8
    assert grouped.fingerprint != plain.fingerprint


def test_tables_of_parts_are_the_parts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    header = ("review", "stars", "who")
    _csv(tmp_path / "data" / "Train.csv", ROWS[:60], header)
    _csv(tmp_path / "data" / "valid.csv", ROWS[60:70], header)
    _csv(tmp_path / "data" / "TEST.csv", [*ROWS[70:], *ROWS[:2]], header)
    data = _load(tmp_path)
    assert [len(part) for part in data.splits.values()] == [58, 10, 12]
    assert "left out of train: 2 that are in validation or test, too" in capfd.readouterr().err
    (tmp_path / "data" / "valid.csv").rename(tmp_path / "data" / "notes.txt")
    other = _load(tmp_path)
    assert [len(part) for part in other.splits.values()] == [52, 6, 12]
    assert other.fingerprint != data.fingerprint
    _csv(tmp_path / "data" / "TEST.csv", [*ROWS[70:], ("a third film", "new", 1)], header)
    with pytest.raises(UserError, match="test has classes that train does not have: new\n"):
        _load(tmp_path)


def test_integers_are_numbers_of_the_sources_classes_in_its_own_folder(tmp_path: Path) -> None:
    for place in ("talk", "mine"):
        for split in ("train", "test"):
            path = tmp_path / place / f"{split}.parquet"
            path.parent.mkdir(exist_ok=True)
            texts = [f"{split} says {i} – ja" for i in range(8)]
            pq.write_table(pa.table({"text": texts, "label": [0, 1] * 4}), path)
    assert _load(tmp_path, folder=tmp_path).classes == ("no", "yes")
    assert _load(tmp_path, folder=tmp_path / "talk").classes == ("no", "yes")
    assert _load(tmp_path, folder=tmp_path / "mine").classes == ("0", "1")


def test_classes_that_are_too_small_are_named_with_their_column(tmp_path: Path) -> None:
    file = _csv(
        tmp_path / "reviews.csv", [*ROWS, ("one more film", "rare", 1)], ("t", "label", "n")
    )
    with pytest.raises(UserError, match=r"\n  rare: 1\n.*column 'label'.*--set label_column=NAME"):
        _load(tmp_path, folder=file, columns=Columns(text="t"))


def test_a_class_without_examples_is_explained_by_copies_in_test(tmp_path: Path) -> None:
    for split in ("train", "test"):
        texts = [f"film {i}" for i in range(40)]
        _write(tmp_path / "data" / f"{split}.parquet", texts, [i % 2 for i in range(40)])
    with pytest.raises(UserError, match="left out of train: 40 that are in validation or test"):
        _load(tmp_path)


def test_missing_data_name_the_options(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"train.parquet[\s\S]*--data-dir"):
        _load(tmp_path)
    with pytest.raises(DataMissingError, match="no earlier download of somebody/talk"):
        _load(tmp_path, folder=None, download=False)
    with pytest.raises(UserError, match="no synthetic data"):
        _load(tmp_path, kind="synthetic")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("", r"reviews.csv has no row below its first line"),
        ("a film,x,y\n" * 7, r"reviews.csv: 7 of 7 rows have .*\n.* 3 values instead of 2"),
        (" ,x\n" * 2, r"reviews.csv has no .*\n.* 2 rows .*\n  reviews.csv row 1: no text\n"),
        ("a film,\n", r"reviews.csv has no .*\n.* 1 rows .*\n  reviews.csv row 1: no label"),
    ],
)
def test_a_table_without_usable_rows_is_named_with_the_reasons(
    tmp_path: Path, rows: str, said: str
) -> None:
    file = tmp_path / "reviews.csv"
    file.write_text("text,label\n" + rows)
    with pytest.raises(UserError, match=said):
        _load(tmp_path, folder=file)
