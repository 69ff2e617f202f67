"""Text data sets from Parquet files in the hub's layout: valid, damaged and missing ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainables.data.source import DataMissingError
from trainables.data.text import TextData, build_ground_truth, define_text_source, load
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
        (["a", None], [0, 1], "no yes", "row 1"),
        (["a", "b"], [0, 2], "no yes", "label 2"),
        (["a", "b"], [0, None], "no yes", "label None"),
        ([], [], "no yes", "empty"),
        (["a", "b"], [0, 1], "yes no", "belongs to this data set"),
    ],
)
def test_invalid_rows_are_named(
    tmp_path: Path, texts: list[Any], labels: list[Any], classes: str, said: str
) -> None:
    _fill(tmp_path / "data")
    _write(tmp_path / "data" / "test.parquet", pa.array(texts, pa.string()), labels, classes)
    with pytest.raises(UserError, match=said):
        _load(tmp_path)


def test_missing_data_name_the_options(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError, match=r"train.parquet[\s\S]*--data-dir"):
        _load(tmp_path)
    with pytest.raises(DataMissingError, match="no earlier download of somebody/talk"):
        _load(tmp_path, folder=None, download=False)
    with pytest.raises(UserError, match="no synthetic data"):
        _load(tmp_path, kind="synthetic")
