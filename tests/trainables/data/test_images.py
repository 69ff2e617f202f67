"""Image data sets from Parquet files in the hub's layout: valid, damaged and missing ones."""

from __future__ import annotations

import io
import json
import multiprocessing
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from trainables.data import parquet
from trainables.data.images import Arrays, ImageData, load
from trainables.data.source import DataMissingError, Source
from trainables.errors import UserError


def _draw(count: int, seed: int) -> Arrays:
    generator = np.random.default_rng(seed)
    pixels = generator.integers(0, 256, (count, 3, 6, 8), dtype=np.uint8)
    return pixels, np.arange(count, dtype=np.int64) % 3


TOYS = Source("toys", "somebody/toys", (3, 6, 8), ("a", "b", "c"), "small", synthetic=_draw)


def _encode(pixels: np.ndarray, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(pixels.transpose(1, 2, 0))
    (image.convert(mode) if mode else image).save(file, "PNG")
    return file.getvalue()


def _write(path: Path, contents: list[bytes | None], labels: list[Any], **columns: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": content, "path": None} for content in contents], kind)
    names = [columns.get("image", "image"), columns.get("label", "label")]
    table = pa.table([cells, pa.array(labels)], names=names)
    classes = columns.get("classes", "abc")
    note = {"info": {"features": {"label": {"names": list(classes), "_type": "ClassLabel"}}}}
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(note)}), path)


def _fill(folder: Path, train: int = 60, test: int = 12) -> tuple[Arrays, Arrays]:
    written = _draw(train, 1), _draw(test, 2)
    for name, (pixels, labels) in zip(("train", "test"), written, strict=True):
        _write(folder / f"{name}.parquet", [_encode(p) for p in pixels], labels.tolist())
    return written


def _load(tmp_path: Path, source: Source = TOYS, **settings: Any) -> ImageData:
    chosen = {"folder": tmp_path / "data", "cache": tmp_path / "cache", **settings}
    return load(source, **chosen)


def _train_with(tmp_path: Path, count: int, *, broken: dict[int, bytes | None]) -> None:
    """Write `count` training rows of which those in `broken` have other bytes."""
    _fill(tmp_path / "data")
    pixels, labels = _draw(count, 1)
    contents = [broken.get(row, _encode(p)) for row, p in enumerate(pixels)]
    _write(tmp_path / "data" / "train.parquet", contents, labels.tolist())


def test_what_was_written_is_read(tmp_path: Path) -> None:
    train, test = _fill(tmp_path / "data")
    data = _load(tmp_path)
    np.testing.assert_array_equal(data.train.pixels.numpy(), train[0])
    np.testing.assert_array_equal(data.train.labels.numpy(), train[1])
    np.testing.assert_array_equal(data.test.pixels.numpy(), test[0])
    assert data.train.pixels is data.validation.pixels
    assert (len(data.train), len(data.validation), len(data.test)) == (54, 6, 12)
    rows = torch.cat([data.train.rows, data.validation.rows]).sort().values
    assert torch.equal(rows, torch.arange(60))
    assert (data.source, data.skipped, data.classes) == ("real", 0, ("a", "b", "c"))


@pytest.mark.parametrize(
    "names",
    [
        ("train.parquet", "test.parquet"),
        ("train-00000-of-00001.parquet", "test-00000-of-00001.parquet"),
        ("data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"),
        ("small/train-00000-of-00001.parquet", "small/test-00000-of-00001.parquet"),
        ("toys/train.parquet", "toys/test.parquet"),
        ("toys/small/train-00000-of-00001.parquet", "toys/small/test-00000-of-00001.parquet"),
    ],
)
def test_layouts_of_a_folder(tmp_path: Path, names: tuple[str, str]) -> None:
    _fill(tmp_path / "plain")
    for name, old in zip(names, ("train", "test"), strict=True):
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "plain" / f"{old}.parquet").rename(tmp_path / "data" / name)
    assert len(_load(tmp_path).test) == 12


def test_shards_are_read_in_order_and_must_be_complete(tmp_path: Path) -> None:
    pixels, labels = _fill(tmp_path / "data")[0]
    (tmp_path / "data" / "train.parquet").unlink()
    for shard in range(3):
        part = slice(20 * shard, 20 * shard + 20)
        path = tmp_path / "data" / f"train-{shard:05}-of-00003.parquet"
        _write(path, [_encode(p) for p in pixels[part]], labels[part].tolist())
    sharded = _load(tmp_path)
    np.testing.assert_array_equal(sharded.train.pixels.numpy(), pixels)
    _fill(tmp_path / "whole")
    assert _load(tmp_path, folder=tmp_path / "whole").fingerprint == sharded.fingerprint
    path.unlink()
    with pytest.raises(UserError, match="copy all 3"):
        _load(tmp_path)


def test_a_second_load_neither_decodes_nor_reads_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _fill(tmp_path / "data")
    first = _load(tmp_path)
    monkeypatch.setattr(parquet, "open_file", None)
    monkeypatch.setattr("hashlib.file_digest", None)
    assert _load(tmp_path).fingerprint == first.fingerprint


def test_changed_content_is_decoded_again(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    first = _load(tmp_path)
    _fill(tmp_path / "data", train=61)
    assert _load(tmp_path).fingerprint != first.fingerprint


def test_the_files_own_validation_is_used(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    pixels, labels = _draw(9, 3)
    path = tmp_path / "data" / "validation.parquet"
    _write(path, [_encode(p) for p in pixels], labels.tolist())
    data = _load(tmp_path)
    np.testing.assert_array_equal(data.validation.pixels.numpy(), pixels)
    assert (len(data.train), len(data.validation)) == (60, 9)


def test_moving_keeps_shared_tensors(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    moved = _load(tmp_path).to("meta")
    assert moved.train.pixels is moved.validation.pixels
    assert moved.test.rows.device.type == "meta"


def test_decoded_pages_may_be_written_without_changing_the_cache(tmp_path: Path) -> None:
    train, _ = _fill(tmp_path / "data")
    _load(tmp_path).train.pixels.zero_()
    np.testing.assert_array_equal(_load(tmp_path).train.pixels.numpy(), train[0])


@pytest.mark.parametrize("mode", ["L", "RGBA", "P"])
def test_other_modes_become_rgb(tmp_path: Path, mode: str) -> None:
    _train_with(tmp_path, 60, broken={5: _encode(_draw(1, 9)[0][0], mode)})
    assert _load(tmp_path).skipped == 0


def test_gray_images(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    assert _load(tmp_path, replace(TOYS, shape=(1, 6, 8))).train.pixels.shape == (60, 1, 6, 8)


def test_few_damaged_images_are_skipped(tmp_path: Path) -> None:
    whole = _encode(_draw(1, 0)[0][0])
    _train_with(tmp_path, 300, broken={7: whole[:-30], 8: b"no image", 299: None})
    data = _load(tmp_path)
    assert data.skipped == 3
    assert data.train.pixels.shape == (297, 3, 6, 8)
    pixels, labels = _draw(300, 1)
    np.testing.assert_array_equal(data.train.pixels[7].numpy(), pixels[9])
    np.testing.assert_array_equal(data.train.labels.numpy(), np.delete(labels, [7, 8, 299]))


def test_many_damaged_images_are_an_error(tmp_path: Path) -> None:
    _train_with(tmp_path, 60, broken={7: b"x", 9: b"y"})
    with pytest.raises(UserError, match=r"train\.parquet: 2 of 60 rows") as caught:
        _load(tmp_path)
    assert "row 7" in str(caught.value)
    assert not list((tmp_path / "cache").glob("toys-*.building-*"))


@pytest.mark.parametrize("label", [None, 3, -1])
def test_invalid_labels_are_an_error(tmp_path: Path, label: int | None) -> None:
    pixels = _fill(tmp_path / "data")[0][0]
    path = tmp_path / "data" / "train.parquet"
    _write(path, [_encode(p) for p in pixels], [label, *[0] * 59])
    with pytest.raises(UserError, match=f"row 0: the label {label} is not one of"):
        _load(tmp_path)


def test_another_size_names_row_and_size(tmp_path: Path) -> None:
    _train_with(tmp_path, 60, broken={4: _encode(np.zeros((3, 5, 7), np.uint8))})
    with pytest.raises(UserError, match=r"row 4: the image has 7 x 5 pixels, but toys has 8 x 6"):
        _load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"text", None])
def test_a_file_that_is_not_parquet(tmp_path: Path, content: bytes | None) -> None:
    _fill(tmp_path / "data")
    path = tmp_path / "data" / "test.parquet"
    path.write_bytes(path.read_bytes()[:-200] if content is None else content)
    with pytest.raises(UserError, match=r"test\.parquet cannot be read as Parquet"):
        _load(tmp_path)


def test_a_file_damaged_in_the_middle(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    path = tmp_path / "data" / "train.parquet"
    content = bytearray(path.read_bytes())
    content[4:600] = bytes(596)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"train\.parquet"):
        _load(tmp_path)


def test_missing_columns_name_the_existing_ones(tmp_path: Path) -> None:
    pixels, labels = _fill(tmp_path / "data")[0]
    path = tmp_path / "data" / "train.parquet"
    _write(path, [_encode(p) for p in pixels], labels.tolist(), image="img")
    with pytest.raises(UserError, match="no column image; it has img, label"):
        _load(tmp_path)
    _write(path, [_encode(p) for p in pixels], [str(label) for label in labels])
    with pytest.raises(UserError, match="labels in label are string"):
        _load(tmp_path)


def test_an_empty_split(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    path = tmp_path / "data" / "test.parquet"
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(UserError, match=r"test\.parquet: the split is empty"):
        _load(tmp_path)


def test_another_data_set_is_rejected(tmp_path: Path) -> None:
    pixels, labels = _fill(tmp_path / "data")[0]
    path = tmp_path / "data" / "train.parquet"
    _write(path, [_encode(p) for p in pixels], labels.tolist(), classes="xyz")
    with pytest.raises(UserError, match="x, y, z"):
        _load(tmp_path)


def test_nothing_is_written_into_the_data_folder(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    before = sorted(path.name for path in (tmp_path / "data").iterdir())
    (tmp_path / "data").chmod(0o555)
    _load(tmp_path)
    (tmp_path / "data").chmod(0o755)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == before


def test_two_processes_load_at_once(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_load, args=(tmp_path,)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert len(list((tmp_path / "cache").glob("toys-*/facts.json"))) == 1


def test_a_cache_with_missing_files_is_an_error(tmp_path: Path) -> None:
    _fill(tmp_path / "data")
    _load(tmp_path)
    next((tmp_path / "cache").glob("toys-*/labels-test.npy")).unlink()
    with pytest.raises(UserError, match="delete"):
        _load(tmp_path)


def test_a_folder_without_data_never_downloads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "download_splits", None)
    with pytest.raises(DataMissingError) as caught:
        _load(tmp_path)
    text = str(caught.value)
    looked = [str(tmp_path / "data" / "toys"), "train-00000-of-00001.parquet", "no such folder"]
    for part in (*looked, "--data-dir", "TUNERY_DATA", "--data synthetic", "somebody/toys"):
        assert part in text


def test_without_network_the_message_is_short_and_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # read from the environment at import
    with pytest.raises(DataMissingError, match="Hugging Face hub") as caught:
        _load(tmp_path, folder=None)
    assert "--data synthetic" in str(caught.value)
    assert len(str(caught.value).splitlines()) < 10
    assert capfd.readouterr().err == ""


def test_a_dry_run_does_not_contact_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "download_splits", None)
    with pytest.raises(DataMissingError, match="no earlier download"):
        _load(tmp_path, folder=None, download=False)
    assert not (tmp_path / "cache").exists()


def test_the_hub_loads_the_same_as_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(parquet, "find_hub_error", lambda hub, kind: None)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    _fill(tmp_path / "data")
    # A split that nobody asked for is not even fetched.
    (tmp_path / "data" / "extra.parquet").write_bytes(b"broken")
    hub = replace(TOYS, hub=str(tmp_path / "data"), hub_config=None)
    wanted = _load(tmp_path)
    assert _load(tmp_path, hub, folder=None).fingerprint == wanted.fingerprint
    monkeypatch.setattr(parquet, "download_splits", None)
    assert len(_load(tmp_path, hub, folder=None, download=False).test) == 12


def test_synthetic_data_are_drawn_once(tmp_path: Path) -> None:
    data = _load(tmp_path, kind="synthetic", synthetic_size=50)
    assert (len(data.train) + len(data.validation), len(data.test)) == (50, 10)
    np.testing.assert_array_equal(data.train.pixels.numpy(), _draw(50, 0)[0])
    assert data.source == "synthetic"
    again = _load(tmp_path, kind="synthetic", synthetic_size=50)
    assert again.fingerprint == data.fingerprint
    with pytest.raises(UserError, match="no synthetic"):
        _load(tmp_path, replace(TOYS, synthetic=None), kind="synthetic")


def test_placeholder_data_write_no_files(tmp_path: Path) -> None:
    data = _load(tmp_path, kind="placeholder")
    assert (len(data.train) + len(data.validation), len(data.test)) == (512, 128)
    assert data.source == "placeholder"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif("TUNERY_DATA" not in os.environ, reason="needs real data in TUNERY_DATA")
@pytest.mark.parametrize(("name", "shape"), [("svhn", (3, 32, 32)), ("mnist", (1, 28, 28))])
def test_real_files(tmp_path: Path, name: str, shape: tuple[int, int, int]) -> None:
    source = Source(name, "nobody/nothing", shape, tuple("0123456789"))
    data = load(source, folder=Path(os.environ["TUNERY_DATA"]), cache=tmp_path)
    assert data.train.pixels.shape[1:] == shape
    assert data.skipped == 0
