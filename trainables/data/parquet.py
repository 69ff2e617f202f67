"""Read labelled images from Parquet files, in a folder or from the hub, in chunks."""

from __future__ import annotations

import io
import json
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainables import cache as caches
from trainables.data.hub import find_hub_error, first_line
from trainables.data.source import Arrays, DataMissingError, Source, describe_options
from trainables.errors import UserError

SPLITS = ("train", "validation", "test")
BATCH = 1024  # rows per read: about 3 MB of 32x32 images
PHOTO_BATCH = 32  # photographs per read: about 16 MB
MAX_DAMAGED = 0.01  # fraction of a split's rows that may be damaged
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    Image.DecompressionBombError,
)

Rows = list[tuple[Any, Any]]
"""Per row the encoded image (bytes, a struct with `bytes`, or None) and its label (or None)."""


@dataclass(frozen=True)
class Shard:
    """A part of a split: its name in messages, its number of rows, and a function to read them."""

    name: str
    count: int
    read: Callable[[], Iterator[Rows]]
    classes: tuple[str, ...] = ()  # as named in the file, if they are


def find_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """Find the Parquet files of every split, in the order of their shards.

    Raises DataMissingError without train or test, UserError if a shard is missing.
    """
    inner = ["", "data", *([source.hub_config] if source.hub_config else [])]
    folders = [root / part for root in (folder / source.name, folder) for part in inner]
    for path in folders:
        splits = {split: files for split in SPLITS if (files := _find_split(source, path, split))}
        if "train" in splits and "test" in splits:
            return splits
    others = " and ".join([*source.train[1:], "test"])
    raise DataMissingError(
        f"{source.name}: no data in {folder}{'' if folder.is_dir() else ' (no such folder)'}\n"
        f"looked for train.parquet or train-00000-of-00001.parquet, the same for {others}, in\n"
        + "".join(f"  {path}\n" for path in folders)
        + describe_options(source)
    )


def hash_files(files: Mapping[str, Sequence[Path]], cache: Path) -> dict[str, list[str]]:
    """Return the SHA-256 of every file of every split; raises UserError if one is unreadable."""
    try:
        return {
            split: [caches.hash_file(p, cache) for p in paths] for split, paths in files.items()
        }
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error


def open_file(source: Source, path: Path) -> Shard:
    """Open a Parquet file; raises UserError if it is damaged or lacks the columns."""
    with _explain_read_errors(path), pq.ParquetFile(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
    image, classes = _check_columns(source, schema, str(path))

    def read() -> Iterator[Rows]:
        with _explain_read_errors(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_get_batch_size(source), columns=[image, source.label]):
                yield _to_rows(batch, image, source.label)

    return Shard(str(path), count, read, classes)


def download_splits(source: Source) -> dict[str, list[Shard]]:
    """Download the splits with `datasets`, or use its cache if the hub does not answer.

    Raises DataMissingError.
    """
    try:
        import datasets
        from huggingface_hub import constants
    except ImportError as error:
        raise UserError(
            f"{source.name}: a download needs the package {error.name}: pip install datasets\n"
            + describe_options(source)
        ) from error
    hub_error = find_hub_error(source.hub, "dataset")
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or hub_error is not None
    try:
        if hub_error is not None:
            splits = datasets.load_dataset(source.hub, source.hub_config)
        else:
            # Other splits are not downloaded: SVHN's `extra` has 531,131 images.
            builder = datasets.load_dataset_builder(source.hub, source.hub_config)
            available = builder.config.data_files
            needed = {*SPLITS, *source.train}
            files = {split: list(available[split]) for split in available if split in needed}
            splits = datasets.load_dataset(builder.name, data_files=files)
    except Exception as error:  # the library and its transports raise without a common base
        reason = hub_error or first_line(error)
        raise DataMissingError(
            f"{source.name}: no --data-dir was set, and {source.hub} cannot be downloaded from "
            f"the Hugging Face hub\n{reason}\n" + describe_options(source)
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before
    return {
        split: [_open_hub_shard(source, part, splits[part]) for part in _list_parts(source, split)]
        for split in SPLITS
        if split in splits
    }


def decode_images(
    source: Source, shards: Sequence[Shard], advance: Callable[[int], None]
) -> Iterator[Arrays]:
    """Decode a split in chunks without its damaged rows; `advance` is called with rows read.

    A row is damaged if the image cannot be decoded, or the label is missing or out of range.
    Raises UserError if the split is empty, an image has another size, or more than 1 % of the
    rows are damaged.
    """
    damaged: list[str] = []
    for shard in shards:
        row = -1
        for rows in shard.read():
            images, labels = [], []
            for encoded, label in rows:
                row += 1
                try:
                    images.append(_decode_image(source, encoded, label))
                    labels.append(label)
                except DAMAGE as error:
                    damaged.append(f"{shard.name} row {row}: {error}")
                except UserError as error:
                    raise UserError(f"{shard.name} row {row}: {error}") from error
            advance(len(rows))
            if images:
                yield np.stack(images), np.array(labels, dtype=np.int64)
    count = sum(shard.count for shard in shards)
    names = ", ".join(shard.name for shard in shards)
    if not count:
        raise UserError(f"{names}: the split is empty")
    if len(damaged) > MAX_DAMAGED * count:
        raise UserError(
            f"{names}: {len(damaged)} of {count} rows are damaged, more than {MAX_DAMAGED:.0%}\n"
            f"the first: {damaged[0]}\ncopy or download the file again"
        )


def _decode_image(source: Source, encoded: Any, label: int | None) -> np.ndarray:
    if label is None or not 0 <= label < len(source.classes):
        raise ValueError(f"the label {label} is not one of {len(source.classes)} classes")
    content = encoded["bytes"] if isinstance(encoded, dict) else encoded
    if not isinstance(content, bytes):
        raise ValueError("no image")
    channels, height, width = source.shape
    with Image.open(io.BytesIO(content)) as image:
        if image.size != (width, height):
            size = "{} x {}".format(*image.size)
            raise UserError(
                f"the image has {size} pixels, but {source.name} has {width} x {height}"
            )
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _open_hub_shard(source: Source, split: str, dataset: Any) -> Shard:
    name = f"{source.hub} {split}"
    image, classes = _check_columns(source, dataset.features.arrow_schema, name)
    tables = dataset.select_columns([image, source.label]).with_format("arrow")

    def read() -> Iterator[Rows]:
        return (
            _to_rows(table, image, source.label) for table in tables.iter(_get_batch_size(source))
        )

    return Shard(name, len(dataset), read, classes)


def _get_batch_size(source: Source) -> int:
    return PHOTO_BATCH if source.photos else BATCH


def _list_parts(source: Source, split: str) -> tuple[str, ...]:
    return source.train if split == "train" else (split,)


def _find_split(source: Source, folder: Path, split: str) -> list[Path]:
    parts = [_find_shards(folder, part) for part in _list_parts(source, split)]
    return [path for files in parts for path in files] if all(parts) else []


def _find_shards(folder: Path, split: str) -> list[Path]:
    single = folder / f"{split}.parquet"
    if single.is_file():
        return [single]
    files = sorted(folder.glob(f"{split}-*.parquet"))
    total = re.fullmatch(rf"{split}-\d+-of-(\d+)\.parquet", files[0].name) if files else None
    if total and len(files) != int(total[1]):
        raise UserError(
            f"{folder} holds only {len(files)} files {split}-*-of-{total[1]}.parquet\n"
            f"copy all {int(total[1])} there, and no others"
        )
    return files


def _to_rows(batch: pa.RecordBatch | pa.Table, image: str, label: str) -> Rows:
    images, labels = batch.column(image), batch.column(label)
    return list(zip(images.to_pylist(), labels.to_pylist(), strict=True))


def _check_columns(source: Source, schema: pa.Schema, name: str) -> tuple[str, tuple[str, ...]]:
    """Return the column of the images and the class names in the file's metadata."""
    image = next((column for column in source.image if column in schema.names), None)
    missing = [] if image else [" or ".join(source.image)]
    missing += [] if source.label in schema.names else [source.label]
    if image is None or missing:
        raise UserError(
            f"{name}: no column {' and '.join(missing)}; it has {', '.join(schema.names)}"
        )
    kind = schema.field(source.label).type
    if not pa.types.is_integer(kind):
        raise UserError(f"{name}: the labels in {source.label} are {kind}, expected integers")
    # A folder of this name may hold another data set of the same shape.
    metadata: Mapping[str, Any] = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = metadata.get("info", {}).get("features", {}).get(source.label, {}).get("names")
    if names and not source.photos and tuple(names) != source.classes:
        raise UserError(
            f"{name} has the classes {', '.join(names)}\n"
            f"expected those of {source.name}: {', '.join(source.classes)}\n"
            "check that the file belongs to this data set"
        )
    return image, tuple(names or ())


@contextmanager
def _explain_read_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as Parquet\n{first_line(error)}\ncopy or download it again"
        ) from error
