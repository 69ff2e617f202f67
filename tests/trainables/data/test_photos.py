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

    with pytest.raises(UserError, match=r"4 of 70 examples.*\n  cat/f truncated.jpg: damaged"):
        _load(tmp_path)
    data = _load(tmp_path, accept_losses=0.06)
    assert data.classes == tuple(COLOURS)
    assert data.skipped == 4
    records = {row["file"].removeprefix("cat/"): row for row in _list(tmp_path)}
    assert len(records) == 60 + 10
    why = {name: (row["done"], row["why"].partition(":")[0]) for name, row in records.items()}
    assert why["a cmyk.jpg"] == ("converted", "CMYK")
    assert why["b.png"] == ("converted", "not JPEG")
    assert (
        records["c 16 bits.png"]["why"]
        == "not JPEG: PNG; bit depth: integer values, 255 is white; black and white"
    )
    assert "frames: first of 2" in records["d.gif"]["why"]
    assert why["e turned.jpg"] == ("converted", "rotated")
    assert why["f truncated.jpg"] == ("dropped", "damaged")
    assert why["g empty.jpg"] == ("dropped", "empty")
    assert why["h text.jpg"] == ("dropped", "not an image")
    assert why["j loop.jpg"] == ("dropped", "unreadable")
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
        "dropped: 4 (damaged 1",
        "split: 52 train, 7 validation, 7 test",
        "prepared.csv",
    ):
        assert part in output, output
    _load(tmp_path, accept_losses=0.06)
    assert capfd.readouterr().err == ""


def test_photographs_are_found_at_any_depth_and_in_parts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "data"
    number = iter(range(999))
    for part, count in (("Train", 10), ("valid", 3), ("test", 4)):
        for name, colour in COLOURS.items():
            for at in range(count):
                _picture(root / part / name / "a" / f"{at}.jpg", colour, next(number))
    data = _load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [30, 9, 12]
    assert "split: 30 train, 9 validation, 12 test\n" in capfd.readouterr().err
    first = data.fingerprint
    for place in (root / "valid").rglob("*"):
        place.rename(place) if place.is_dir() else place.unlink()
    for place in sorted((root / "valid").rglob("*"), reverse=True):
        place.rmdir()
    (root / "valid").rmdir()
    data = _load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [27, 3, 12]
    assert "(validation drawn from train)" in capfd.readouterr().err
    assert data.fingerprint != first
    (root / "test").rename(root / "VAL")
    data = _load(tmp_path)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [27, 12, 3]


def test_the_fingerprint_covers_classes_parts_and_groups(tmp_path: Path) -> None:
    def load() -> str:
        return _load(tmp_path).fingerprint

    root = tmp_path / "data"
    _fill(root, each=4)
    prints = {load()}
    (root / "groups.csv").write_text("file,group\ncat/photo 00 ä.jpg,x\ncat/photo 01 ä.jpg,x\n")
    prints.add(load())
    (root / "cat").rename(root / "kitten")
    (root / "groups.csv").unlink()
    prints.add(load())
    assert len(prints) == 3


def test_copies_are_kept_in_one_part(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "data"
    _fill(root, each=5)
    for path in sorted(root.rglob("*.jpg")):
        for copy in range(3):
            path.with_suffix(f".{copy}.jpg").write_bytes(path.read_bytes())
        with Image.open(path) as image:  # the same pixels in another file
            image.save(path.with_suffix(".png"))
    for size in (16, 300):
        data = _load(tmp_path, size=size)
        assert "copies: 60 of 15 examples" in capfd.readouterr().err
        parts = [
            {part.pixels[row].numpy().tobytes() for row in part.rows}
            for part in (data.train, data.validation, data.test)
        ]
        assert [len(part) for part in parts] == [9, 3, 3]
        assert not parts[0] & parts[1] | parts[0] & parts[2] | parts[1] & parts[2]
    (root / "dog" / "cat.jpg").write_bytes((root / "cat" / "photo 00 ä.jpg").read_bytes())
    _load(tmp_path)
    assert "WARNING: equal but of different classes: 1 (cat/" in capfd.readouterr().err


def test_copies_of_the_users_own_test_set_are_left_out_of_train(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for part, count in (("train", 8), ("test", 2)):
        for name, colour in COLOURS.items():
            for number in range(count):
                _picture(tmp_path / "data" / part / name / f"{number}.jpg", colour, number)
    data = _load(tmp_path)
    assert (len(data.train) + len(data.validation), len(data.test)) == (18, 6)
    assert "left out of train: 6 that are in validation or test, too" in capfd.readouterr().err
    left_out = [row for row in _list(tmp_path) if row["done"] == "left out"]
    assert {row["file"] for row in left_out} == {
        f"train/{name}/{number}.jpg" for name in COLOURS for number in (0, 1)
    }


def test_an_unsupported_format_is_an_error_above_one_percent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos.prepare, "find_unsupported", lambda name, content: None)
    _fill(tmp_path / "data")
    (tmp_path / "data" / "cat" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    with pytest.raises(UserError, match=r"1 of 61 .*\n  cat/IMG_1.HEIC: not an image\n") as caught:
        _load(tmp_path)
    assert "--set accept_losses=0.02" in str(caught.value)
    # What has been prepared is not accepted by another call, and is used by one that accepts it.
    with pytest.raises(UserError):
        _load(tmp_path)
    assert len(_load(tmp_path, accept_losses=0.02).train) == 48


def test_files_that_are_no_photographs_are_not_lost(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    for number in range(9):
        (tmp_path / "data" / "cat" / f"{number}.txt").write_text("a box")
    (tmp_path / "data" / "cat" / "film.mov").write_bytes(b"\0\0\0\x14ftypqt  ")
    assert len(_load(tmp_path).train) == 48
    dropped = [row for row in _list(tmp_path) if row["done"] == "dropped"]
    assert sorted({row["why"] for row in dropped}) == ["other file: .mov", "other file: .txt"]


def test_rows_in_the_list_are_rows_of_the_tensor(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    (tmp_path / "data" / "cat" / "photo 00 ä.jpg").write_bytes(b"")
    data = _load(tmp_path, accept_losses=0.02)
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
    with pytest.raises(
        UserError, match=r"fewer than 3 different examples in train .*\n  bird: 0\n"
    ) as caught:
        _load(tmp_path)
    assert "fish" not in str(caught.value).partition("dropped")[0]
    (tmp_path / "data" / "bird").rmdir()
    assert len(_load(tmp_path, accept_losses=0.02).classes) == 4
    (tmp_path / "data" / "fish" / "2.jpg").write_bytes(b"")
    with pytest.raises(UserError, match=r"fish: 2\ndropped: fish/2\.jpg: empty\n"):
        _load(tmp_path)


def test_one_class_is_rejected(tmp_path: Path) -> None:
    _fill(tmp_path / "data", classes={"cat": COLOURS["cat"]})
    with pytest.raises(UserError, match=r"1 class \(cat\), at least 2 are needed"):
        _load(tmp_path)
    assert not list((tmp_path / "cache").glob("*building*"))


def test_few_photographs_are_scored_and_not_searched(tmp_path: Path) -> None:
    _picture(tmp_path / "data" / "cat" / "0.jpg", COLOURS["cat"], 0)
    assert len(_load(tmp_path, may_be_few=True).train) == 1
    with pytest.raises(UserError, match=r"fewer than 3 different examples .*\n  cat: 1\n"):
        _load(tmp_path)


def test_a_source_drops_only_among_its_own_classes(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    for number in range(3):
        _picture(tmp_path / "data" / "cat" / f"grey {number}.jpg", (9, 9, 9), number, mode="L")
    strict = replace(PETS, classes=tuple(COLOURS), drop=("black and white",))
    own = _load(tmp_path, strict)
    assert (own.skipped, own.is_own) == (3, False)
    other = _load(tmp_path, replace(strict, classes=("kitchen", "office")))
    assert (other.skipped, other.classes, other.is_own) == (0, tuple(COLOURS), True)


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
        image = Image.new("RGB", (20 + number % 5, 30), colour)
        image.putpixel((3, 3), (4 * number, len(path.stem), 0))
        image.save(file, "PNG")
        cells.append({"bytes": file.getvalue(), "path": f"{number}.png"})
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
    data = _load(tmp_path, replace(PETS, classes=("others", "expected")), accept_losses=0.03)
    assert data.classes == ("x", "y", "z")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [54, 6, 9]
    assert torch.equal(data.test.rows, torch.arange(9))
    assert data.test.labels.tolist() == [0, 1, 2] * 3
    dropped = [row for row in _list(tmp_path) if row["done"] == "dropped"]
    assert [row["why"] for row in dropped] == ["not an image", "no class"]
    assert dropped[0]["file"].endswith("train.parquet row 0 0.png")


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
