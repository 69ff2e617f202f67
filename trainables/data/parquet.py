"""From Parquet files, in a folder or from the hub, to decoded images in chunks."""

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
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from trainables.data.source import Arrays, DataMissingError, describe_options
from trainables.errors import UserError

if TYPE_CHECKING:
    from trainables.data.source import Source

SPLITS = ("train", "validation", "test")
BATCH = 1024  # rows read at once: some 3 MB of 32x32 images
FEW = 32  # photographs read at once: some 16 MB
TOLERATED = 0.01  # of a split's rows may be damaged
DAMAGE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    Image.DecompressionBombError,
)

Rows = list[tuple[Any, Any]]
"""Per row the encoded image (bytes, a struct with `bytes`, or None) and its label (or None)."""


@dataclass(frozen=True)
class Shard:
    """A piece of a split: its name in messages, its number of rows, and how to read them."""

    name: str
    count: int
    read: Callable[[], Iterator[Rows]]
    classes: tuple[str, ...] = ()  # as the file names them, where it does


def find_files(source: Source, folder: Path) -> dict[str, list[Path]]:
    """Find the Parquet files of every split, in the order of their shards.

    Raises DataMissingError where train or test are not there, UserError where a shard is lacking.
    """
    inner = ["", "data", *([source.hub_config] if source.hub_config else [])]
    places = [root / part for root in (folder / source.name, folder) for part in inner]
    for place in places:
        found = {split: files for split in SPLITS if (files := _files(source, place, split))}
        if "train" in found and "test" in found:
            return found
    others = " and ".join([*source.train[1:], "test"])
    raise DataMissingError(
        f"{source.name}: no data in {folder}{'' if folder.is_dir() else ' (no such folder)'}\n"
        f"looked for train.parquet or train-00000-of-00001.parquet, and {others} likewise, in\n"
        + "".join(f"  {place}\n" for place in places)
        + describe_options(source)
    )


def open_file(source: Source, path: Path) -> Shard:
    """Open a Parquet file; raises UserError where it is damaged or lacks the columns."""
    with _readable(path), pq.ParquetFile(path) as file:
        schema, count = file.schema_arrow, file.metadata.num_rows
    image, classes = _check(source, schema, str(path))

    def read() -> Iterator[Rows]:
        with _readable(path), pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_batch(source), columns=[image, source.label]):
                yield _rows(batch, image, source.label)

    return Shard(str(path), count, read, classes)


def download_splits(source: Source) -> dict[str, list[Shard]]:
    """Download the splits through `datasets`, or take them from its cache without a network.

    One short request tells whether the hub answers, since the library itself retries for
    minutes before it gives up. Raises DataMissingError.
    """
    try:
        import datasets
        from huggingface_hub import constants
    except ImportError as error:
        raise UserError(
            f"{source.name}: a download needs the package {error.name}: pip install datasets\n"
            + describe_options(source)
        ) from error
    trouble = _unreachable(source.hub)
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or trouble is not None
    try:
        if trouble is not None:
            found = datasets.load_dataset(source.hub, source.hub_config)
        else:
            # Splits that nobody asked for (SVHN's `extra` has 531,131 images) stay there.
            builder = datasets.load_dataset_builder(source.hub, source.hub_config)
            offered = builder.config.data_files
            wanted = {*SPLITS, *source.train}
            files = {split: list(offered[split]) for split in offered if split in wanted}
            found = datasets.load_dataset(builder.name, data_files=files)
    except Exception as error:  # the library and its four transports raise without a common base
        reason = trouble or _first_line(error)
        raise DataMissingError(
            f"{source.name}: no --data-dir was given, and {source.hub} cannot be had from the "
            f"Hugging Face hub\n{reason}\n" + describe_options(source)
        ) from error
    finally:
        constants.HF_HUB_OFFLINE = before
    return {
        split: [_hub_shard(source, part, found[part]) for part in _parts(source, split)]
        for split in SPLITS
        if split in found
    }


def decode_images(
    source: Source, shards: Sequence[Shard], advance: Callable[[int], None]
) -> Iterator[Arrays]:
    """Decode a split in chunks, leaving damaged rows out; `advance` hears of the rows seen.

    Raises UserError where the split is empty, an image has another size, or more than 1 % of
    the rows are damaged: undecodable, or with a label that is missing or out of range.
    """
    damaged: list[str] = []
    for shard in shards:
        row = -1
        for rows in shard.read():
            images, labels = [], []
            for encoded, label in rows:
                row += 1
                try:
                    images.append(_image(source, encoded, label))
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
    if len(damaged) > TOLERATED * count:
        raise UserError(
            f"{names}: {len(damaged)} of {count} rows are damaged, more than {TOLERATED:.0%}\n"
            f"the first: {damaged[0]}\ncopy or download the file again"
        )


def _image(source: Source, encoded: Any, label: int | None) -> np.ndarray:
    if label is None or not 0 <= label < len(source.classes):
        raise ValueError(f"the label is {label}, with {len(source.classes)} classes")
    content = encoded["bytes"] if isinstance(encoded, dict) else encoded
    if not isinstance(content, bytes):
        raise ValueError("no image")
    channels, height, width = source.shape
    with Image.open(io.BytesIO(content)) as image:
        if image.size != (width, height):
            found = "{} x {}".format(*image.size)
            raise UserError(f"the image has {found} pixels, {source.name} {width} x {height}")
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _hub_shard(source: Source, split: str, dataset: Any) -> Shard:
    name = f"{source.hub} {split}"
    image, classes = _check(source, dataset.features.arrow_schema, name)
    tables = dataset.select_columns([image, source.label]).with_format("arrow")

    def read() -> Iterator[Rows]:
        return (_rows(table, image, source.label) for table in tables.iter(_batch(source)))

    return Shard(name, len(dataset), read, classes)


def _batch(source: Source) -> int:
    return FEW if source.photos else BATCH


def _unreachable(hub: str) -> str | None:
    from huggingface_hub import HfApi

    try:
        HfApi().dataset_info(hub, timeout=10)
    except Exception as error:  # as above
        return _first_line(error)
    return None


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _parts(source: Source, split: str) -> tuple[str, ...]:
    return source.train if split == "train" else (split,)


def _files(source: Source, place: Path, split: str) -> list[Path]:
    parts = [_shards(place, part) for part in _parts(source, split)]
    return [path for files in parts for path in files] if all(parts) else []


def _shards(place: Path, split: str) -> list[Path]:
    single = place / f"{split}.parquet"
    if single.is_file():
        return [single]
    files = sorted(place.glob(f"{split}-*.parquet"))
    total = re.fullmatch(rf"{split}-\d+-of-(\d+)\.parquet", files[0].name) if files else None
    if total and len(files) != int(total[1]):
        raise UserError(
            f"{place} holds {len(files)} files {split}-*-of-{total[1]}.parquet, not all\n"
            f"copy all {int(total[1])} there, and no others"
        )
    return files


def _rows(batch: pa.RecordBatch | pa.Table, image: str, label: str) -> Rows:
    images, labels = batch.column(image), batch.column(label)
    return list(zip(images.to_pylist(), labels.to_pylist(), strict=True))


def _check(source: Source, schema: pa.Schema, name: str) -> tuple[str, tuple[str, ...]]:
    """Give the column of the images and the names of the classes that the file tells."""
    image = next((column for column in source.image if column in schema.names), None)
    missing = [] if image else [" or ".join(source.image)]
    missing += [] if source.label in schema.names else [source.label]
    if image is None or missing:
        raise UserError(
            f"{name}: no column {' and '.join(missing)}; it has {', '.join(schema.names)}"
        )
    kind = schema.field(source.label).type
    if not pa.types.is_integer(kind):
        raise UserError(f"{name}: the labels in {source.label} are {kind}, not whole numbers")
    # A folder that is named for itself may hold another data set of the same shape.
    note: Mapping[str, Any] = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    names = note.get("info", {}).get("features", {}).get(source.label, {}).get("names")
    if names and not source.photos and tuple(names) != source.classes:
        raise UserError(
            f"{name} has the classes {', '.join(names)}\n"
            f"{source.name} has {', '.join(source.classes)}: is this another data set?"
        )
    return image, tuple(names or ())


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} cannot be read as Parquet\n{_first_line(error)}\ncopy or download it again"
        ) from error
