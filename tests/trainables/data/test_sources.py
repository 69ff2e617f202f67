"""The named data sets: their classes, and loading of their sample files."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from trainables.data import images
from trainables.data.cifar10 import CIFAR10
from trainables.data.flowers import FLOWERS, FLOWERS102
from trainables.data.load import load_photos, load_table, load_texts
from trainables.data.mit67 import MIT67
from trainables.data.mnist import MNIST
from trainables.data.own import OWN_PHOTOS, OWN_TABLE, OWN_TEXTS
from trainables.data.source import DataMissingError, Source
from trainables.run import Run


@pytest.mark.parametrize(
    ("source", "classes"),
    [(MNIST, 10), (CIFAR10, 10), (FLOWERS, 5), (FLOWERS102, 102), (MIT67, 67)],
)
def test_all_classes_are_listed(source: Source, classes: int) -> None:
    assert len(set(source.classes)) == len(source.classes) == classes
    assert all(name == " ".join(name.split()) for name in source.classes)


@pytest.mark.parametrize("source", [OWN_PHOTOS, OWN_TEXTS, OWN_TABLE])
def test_data_of_ones_own_have_to_be_named(source: Source, tmp_path: Path) -> None:
    run = Run(1, cache=tmp_path)
    with pytest.raises(
        DataMissingError, match=rf"{source.name} has no data of its own\nname .*--data-dir"
    ):
        if source is OWN_PHOTOS:
            load_photos(source, run, 32)
        elif source is OWN_TEXTS:
            load_texts(source, run)
        else:
            load_table(run)
    assert source.has_other_classes(("a", "b")), "whatever the classes are"


def test_sorted_folders_have_the_order_of_the_classes() -> None:
    # Or nothing would be left out of the real archive: `drop` holds for a source's own classes.
    assert tuple(sorted(MIT67.classes)) == MIT67.classes


@pytest.mark.parametrize("column", ["img", "image"])
def test_cifar10_by_either_column(tmp_path: Path, column: str) -> None:
    file = io.BytesIO()
    Image.fromarray(np.full((32, 32, 3), 77, np.uint8)).save(file, "PNG")
    table = pa.table({column: [{"bytes": file.getvalue()}] * 20, "label": [*range(10)] * 2})
    for split in ("train", "test"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    data = images.load(CIFAR10, folder=tmp_path, cache=tmp_path / "cache")
    assert data.test.pixels.shape == (20, 3, 32, 32)
    assert (data.test.pixels == 77).all()


@pytest.mark.skipif("TUNERY_DATA" not in os.environ, reason="needs real data in TUNERY_DATA")
@pytest.mark.parametrize("source", [MNIST, CIFAR10])
def test_real_files(tmp_path: Path, source: Source) -> None:
    data = images.load(source, folder=Path(os.environ["TUNERY_DATA"]), cache=tmp_path)
    assert data.skipped == 0
    assert set(data.test.labels.tolist()) == set(range(10))
