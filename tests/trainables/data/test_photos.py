"""Photographs from class folders and Parquet files, prepared as splits."""

from __future__ import annotations

import csv
import io
import json
import multiprocessing
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from trainables.data import parquet, photos, prepare
from trainables.data.flowers import FLOWERS
from trainables.data.images import ImageData
from trainables.data.source import DataMissingError, Source
from trainables.errors import UserError

PETS = Source("pets", "somebody/pets", (3, 16, 16), (), photos=True)
COLOURS = {"cat": (200, 40, 30), "dog": (30, 180, 40), "élan vital": (20, 50, 210)}


def _picture(path: Path, colour: tuple[int, int, int], number: int = 0, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(number).integers(-9, 9, (24 + number % 9, 40, 3))
    pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
    image = Image.fromarray(pixels)
    (image.convert(options.pop("mode")) if "mode" in options else image).save(path, **options)


def _fill(root: Path, each: int = 20, classes: dict[str, Any] = COLOURS) -> None:
    for name, colour in classes.items():
        for number in range(each):
            _picture(root / name / f"photo {number:02} ä.jpg", colour, number)


def _load(tmp_path: Path, source: Source = PETS, **settings: Any) -> ImageData:
    chosen = {"folder": tmp_path / "data", "cache": tmp_path / "cache", "size": 16, **settings}
    return photos.load(source, **chosen)


def _list(tmp_path: Path) -> list[dict[str, str]]:
    (path,) = (tmp_path / "cache").glob("pets-*/prepared.csv")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("inner", ["", "pets", "pets/Images", "Images"])
def test_a_folder_per_class(tmp_path: Path, inner: str) -> None:
    _fill(tmp_path / "data" / inner)
    (tmp_path / "data" / inner / "README.txt").write_text("beside the folders")
    data = _load(tmp_path)
    assert data.classes == ("cat", "dog", "élan vital")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [48, 6, 6]
    for part, each in ((data.train, 16), (data.validation, 2), (data.test, 2)):
        labels = part.labels[part.rows]
        assert torch.bincount(labels).tolist() == [each] * 3
        assert part.pixels.dtype == torch.uint8
        assert part.pixels.shape[1:] == (3, 16, 16)
        means = part.pixels[part.rows].float().mean((2, 3))
        wanted = torch.tensor(list(COLOURS.values()), dtype=torch.float)[labels]
        assert (means - wanted).abs().max() < 12
    rows = torch.cat([data.train.rows, data.validation.rows, data.test.rows]).sort().values
    assert torch.equal(rows, torch.arange(60))


def test_the_test_split_is_the_same_for_every_seed(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    first, again, other = (_load(tmp_path, split_seed=seed) for seed in (0, 0, 1))
    assert torch.equal(first.validation.rows, again.validation.rows)
    assert not torch.equal(first.validation.rows, other.validation.rows)
    assert torch.equal(first.test.rows, other.test.rows)
    assert len(_load(tmp_path, validation=0.3).validation) == 18


def test_a_folder_with_many_formats_and_damaged_files(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    _fill(root)
    cat, red = root / "cat", COLOURS["cat"]
    _picture(cat / "a cmyk.jpg", red, mode="CMYK")
    _picture(cat / "b.png", red)
    _picture(cat / "c 16 bits.png", (90, 90, 90), mode="I;16")
    Image.new("RGB", (20, 20), red).save(
        cat / "d.gif", save_all=True, append_images=[Image.new("RGB", (20, 20))]
    )
    exif = Image.Exif()
    exif[274] = 6
    _picture(cat / "e turned.jpg", red, exif=exif)
    whole = (cat / "photo 00 ä.jpg").read_bytes()
    (cat / "f truncated.jpg").write_bytes(whole[: len(whole) // 2])
    (cat / "g empty.jpg").touch()
    (cat / "h text.jpg").write_text("no picture\n" * 9)
    (cat / "i loop").symlink_to(cat)
    (cat / "j loop.jpg").symlink_to(cat / "j loop.jpg")
    (root / "loop").symlink_to(root)
    (root / ".git").mkdir()
    bad_name = os.fsencode(cat) + b"/k \xff\n.jpg"
    Path(os.fsdecode(bad_name)).write_bytes(whole)

    data = _load(tmp_path)
    assert data.classes == tuple(COLOURS)
    assert data.skipped == 5
    records = {row["file"].removeprefix("cat/"): row for row in _list(tmp_path)}
    assert len(records) == 60 + 11
    why = {name: (row["done"], row["why"].partition(":")[0]) for name, row in records.items()}
    assert why["a cmyk.jpg"] == ("converted", "CMYK")
    assert why["b.png"] == ("converted", "not JPEG")
    assert (
        records["c 16 bits.png"]["why"] == "not JPEG: PNG; bit depth: mode I;16; black and white"
    )
    assert "frames: first of 2" in records["d.gif"]["why"]
    assert why["e turned.jpg"] == ("converted", "rotated")
    assert why["f truncated.jpg"] == ("dropped", "damaged")
    assert why["g empty.jpg"] == ("dropped", "empty")
    assert why["h text.jpg"] == ("dropped", "not an image")
    assert why["i loop"] == why["j loop.jpg"] == ("dropped", "unreadable")
    assert why["photo 00 ä.jpg"] == why["dog/photo 00 ä.jpg"] == ("kept", "")
    assert why[os.fsdecode(b"k \xff\n.jpg")] == ("kept", "")
    for row in records.values():
        assert (row["row"] == "") == (row["done"] == "dropped")
    label = int(data.test.labels[int(records["b.png"]["row"])])
    assert data.classes[label] == records["b.png"]["class"] == "cat"

    output = capfd.readouterr().err
    for part in (
        "pets: 66 images of 3 classes, 20 to 26 per class (median 20)",
        "shorter side 20 to 32 pixels (median 27)",
        "converted: 5 (not JPEG 3",
        "dropped: 5 (unreadable 2",
        "split: 52 train, 7 validation, 7 test",
        "prepared.csv",
    ):
        assert part in output, output
    _load(tmp_path)
    assert capfd.readouterr().err == ""


def test_rows_in_the_list_are_rows_of_the_tensor(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    (tmp_path / "data" / "cat" / "photo 00 ä.jpg").write_bytes(b"")
    data = _load(tmp_path)
    for row in _list(tmp_path)[1::7]:
        content = (tmp_path / "data" / row["file"]).read_bytes()
        expected = prepare.decode_square(content, 16)[0]
        np.testing.assert_array_equal(data.test.pixels[int(row["row"])].numpy(), expected)


def test_an_unchanged_folder_is_not_read_again_and_a_changed_one_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "data")
    first = _load(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "prepare_all", None)
        assert _load(tmp_path).fingerprint == first.fingerprint
    _picture(tmp_path / "data" / "dog" / "new.jpg", COLOURS["dog"])
    assert len(_load(tmp_path).test.pixels) == 61
    assert _load(tmp_path, size=8).test.pixels.shape == (61, 3, 8, 8)


def test_two_processes_prepare_once(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_load, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(_list(tmp_path)) == 60


def test_empty_and_small_classes_are_named(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    (tmp_path / "data" / "bird").mkdir()
    for number in range(4):
        _picture(tmp_path / "data" / "fish" / f"{number}.jpg", (9, 99, 99), number)
    (tmp_path / "data" / "fish" / "3.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="fewer than 3 usable images\n  bird: 0 of 0\n") as caught:
        _load(tmp_path)
    assert "fish" not in str(caught.value).partition("dropped")[0]
    (tmp_path / "data" / "bird").rmdir()
    assert len(_load(tmp_path).classes) == 4
    (tmp_path / "data" / "fish" / "2.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"fish: 2 of 4\ndropped: fish/2\.jpg: empty\n"):
        _load(tmp_path)


def test_one_class_is_rejected(tmp_path: Path) -> None:
    _fill(tmp_path / "data", classes={"cat": COLOURS["cat"]})
    with pytest.raises(UserError, match="1 classes, at least 2"):
        _load(tmp_path)
    assert not list((tmp_path / "cache").glob("*building*"))


def test_a_source_drops_only_among_its_own_classes(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    for number in range(3):
        _picture(tmp_path / "data" / "cat" / f"grey {number}.jpg", (9, 9, 9), number, mode="L")
    strict = replace(PETS, classes=tuple(COLOURS), drop=("black and white",))
    assert _load(tmp_path, strict).skipped == 3
    other = _load(tmp_path, replace(strict, classes=("kitchen", "office")))
    assert (other.skipped, other.classes) == (0, tuple(COLOURS))


def test_a_read_only_folder_stays_as_it_is(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    before = sorted(tmp_path.joinpath("data").rglob("*"))
    for path in before:
        path.chmod(0o555 if path.is_dir() else 0o444)
    _load(tmp_path)
    for path in before:
        path.chmod(0o755)
    assert sorted(tmp_path.joinpath("data").rglob("*")) == before


def _rows(path: Path, count: int, names: list[str] | None, *, bad: bool = False) -> None:
    cells, labels = [], []
    for number in range(count):
        file = io.BytesIO()
        colour = list(COLOURS.values())[number % 3]
        Image.new("RGB", (20 + number % 5, 30), colour).save(file, "JPEG")
        cells.append({"bytes": file.getvalue(), "path": f"{number}.jpg"})
        labels.append(number % 3)
    if bad:
        cells[0]["bytes"], labels[1] = b"broken", 7
    note = {"info": {"features": {"label": {"names": names, "_type": "ClassLabel"}}}}
    table = pa.table({"image": cells, "label": labels})
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"huggingface": json.dumps(note)} if names else None
    pq.write_table(table.replace_schema_metadata(metadata), path)


def test_parquet_keeps_its_own_test_set(tmp_path: Path) -> None:
    _rows(tmp_path / "data" / "train.parquet", 62, ["x", "y", "z"], bad=True)
    _rows(tmp_path / "data" / "test.parquet", 9, ["x", "y", "z"])
    data = _load(tmp_path, replace(PETS, classes=("others", "expected")))
    assert data.classes == ("x", "y", "z")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [54, 6, 9]
    assert torch.equal(data.test.rows, torch.arange(9))
    assert data.test.labels.tolist() == [0, 1, 2] * 3
    dropped = [row for row in _list(tmp_path) if row["done"] == "dropped"]
    assert [row["why"] for row in dropped] == ["not an image", "no class"]
    assert dropped[0]["file"].endswith("train.parquet row 0 0.jpg")


def test_parquet_without_names_has_the_classes_of_the_source(tmp_path: Path) -> None:
    for name in ("train", "test"):
        _rows(tmp_path / "data" / f"{name}.parquet", 30, None)
    assert _load(tmp_path, replace(PETS, classes=("a", "b", "c"))).classes == ("a", "b", "c")


def test_parquet_files_with_different_classes(tmp_path: Path) -> None:
    _rows(tmp_path / "data" / "train.parquet", 30, ["x", "y", "z"])
    _rows(tmp_path / "data" / "test.parquet", 30, ["z", "y", "x"])
    with pytest.raises(UserError, match="different classes"):
        _load(tmp_path)


def test_the_hub_with_a_train_split_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(parquet, "find_hub_error", lambda hub, kind: None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    _rows(tmp_path / "data" / "train.parquet", 60, ["x", "y", "z"])
    hub = replace(PETS, hub=str(tmp_path / "data"))
    data = _load(tmp_path, hub, folder=None)
    assert data.classes == ("x", "y", "z")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [48, 6, 6]
    monkeypatch.setattr(parquet, "download_splits", None)
    assert len(_load(tmp_path, hub, folder=None, download=False).test) == 6


@pytest.mark.parametrize("download", [True, False])
def test_missing_data_names_the_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, download: bool
) -> None:
    archive = replace(PETS, hub="", tar="http://127.0.0.1:9/pets.tar")
    with pytest.raises(DataMissingError, match=r"pets\.tar") as caught:
        _load(tmp_path, archive, folder=None, download=download)
    assert "--data-dir FOLDER or TUNERY_DATA=FOLDER: a folder with one folder per class" in str(
        caught.value
    )
    (tmp_path / "data").mkdir()
    with pytest.raises(DataMissingError, match="one folder per class"):
        _load(tmp_path, archive, download=download)
    with pytest.raises(DataMissingError, match="no earlier download"):
        _load(tmp_path, folder=None, download=False)


def test_a_large_archive_is_downloaded_on_request_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requests = []

    def fetch(url: str, target: Path) -> None:
        requests.append(url)
        raise DataMissingError("fetched in vain")

    monkeypatch.setattr(photos.downloads, "download_file", fetch)
    monkeypatch.delenv("TUNERY_DOWNLOAD", raising=False)
    archive = replace(PETS, hub="", tar="http://127.0.0.1:9/pets.tar", tar_size="2 GB")
    option = r"TUNERY_DOWNLOAD=pets: download http://127.0.0.1:9/pets.tar \(2 GB\), once"
    with pytest.raises(DataMissingError, match=option):
        _load(tmp_path, archive, folder=None)
    monkeypatch.setenv("TUNERY_DOWNLOAD", "others")
    with pytest.raises(DataMissingError, match=option):
        _load(tmp_path, archive, folder=None)
    assert not requests
    monkeypatch.setenv("TUNERY_DOWNLOAD", "others,pets")
    with pytest.raises(DataMissingError, match="in vain"):
        _load(tmp_path, archive, folder=None)
    assert requests == [archive.tar]


def test_placeholder_photographs_have_the_folders_classes(tmp_path: Path) -> None:
    _fill(tmp_path / "data", each=1)
    data = _load(tmp_path, kind="placeholder")
    assert (data.classes, data.source) == (tuple(COLOURS), "placeholder")
    assert data.train.pixels.shape[1:] == (3, 16, 16)
    expected = _load(tmp_path, FLOWERS, folder=None, kind="placeholder")
    assert expected.classes == FLOWERS.classes


@pytest.mark.skipif("TUNERY_DATA" not in os.environ, reason="needs real data in TUNERY_DATA")
def test_real_flowers(tmp_path: Path) -> None:
    started = time.perf_counter()
    data = photos.load(FLOWERS, folder=Path(os.environ["TUNERY_DATA"]), cache=tmp_path, size=128)
    print(f"flowers at 128 x 128: {time.perf_counter() - started:.1f} s")
    assert data.classes == FLOWERS.classes
    assert [len(part) for part in (data.train, data.validation, data.test)] == [1145, 130, 225]
    assert data.skipped == 0
    # Flowers are in the middle, and photographs are neither black nor white.
    assert 80 < data.test.pixels.float().mean() < 150
