"""Photographs of any size, from class folders or from Parquet files, as square uint8 tensors.

A folder per class is enough: the names of the folders are the classes. Every image is turned
upright, its shorter side resized and its center cropped, once per machine. `prepared.csv` beside
the arrays lists what was dropped or converted; a summary is printed once.
"""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import Progress

from trainables import cache as caches
from trainables.data import download as downloads
from trainables.data import images, parquet, prepare
from trainables.data.images import ImageData
from trainables.data.parquet import Shard
from trainables.data.prepare import Photo, PhotoRecord
from trainables.data.source import (
    Arrays,
    DataMissingError,
    Source,
    check_downloaded,
    describe_options,
)
from trainables.errors import UserError
from trainables.predictor import DataKind

LAYOUT = 1  # version of the arrays; a new number makes every machine prepare again
MIN_IMAGES = 3  # usable images of a class: one each for train, validation and test
CHUNK = 64  # images per write

Classes = tuple[str, ...]
Splits = dict[str, tuple[int, Iterable[Photo]]]
"""The number of photographs of each split, and the photographs."""
Records = list[tuple[str, PhotoRecord]]
"""The split and the record of each photograph."""


def load(
    source: Source,
    *,
    folder: Path | None,
    cache: Path,
    size: int,
    kind: DataKind = "real",
    validation: float = 0.1,
    split_seed: int = 0,
    download: bool = True,
) -> ImageData:
    """Load photographs as size x size images; prepare them first if this machine has not yet.

    The classes are those of the data, even if the source lists others. `folder`, or a folder of
    the source's name in it, holds Parquet files or one folder per class. Without it, the
    source's archive or its data set on the hub is used; with `download` False, from an earlier
    download only. Archives are large: one is downloaded only if TUNERY_DOWNLOAD names the
    source. Data without splits are divided 80/10/10, stratified, with the same test set for
    every seed. Raises DataMissingError, or UserError for data that cannot be used.
    """
    source = replace(source, shape=(3, size, size), photos=True)
    if kind != "real":
        root = prepare.find_class_folders(source.name, folder) if folder else None
        names = prepare.list_photos(root)[1] if root else source.classes or tuple("0123456789")
        source = replace(source, classes=names)
        options: dict[str, Any] = {"validation": validation, "split_seed": split_seed}
        return images.load(source, folder=None, cache=cache, kind=kind, **options)
    key, open_input = _find_input(source, folder, cache, download)
    records: Records = []

    def build(draft: Path) -> None:
        _prepare(source, draft, *open_input(), records)

    at = caches.get_or_build(cache, source.name, key, build)
    facts, arrays = images.open_splits(at)
    classes = tuple(facts.pop("classes"))
    splits = images.make_splits(arrays, validation, split_seed)
    if records:
        sizes = "split: {:,} train, {:,} validation, {:,} test"
        lines = [*_format_summary(source, classes, records), sizes.format(*map(len, splits))]
        lines.append(f"list of all photographs: {at / 'prepared.csv'}")
        print("\n  ".join(lines), file=sys.stderr)
    return ImageData(*splits, classes=classes, source=kind, **facts)


def _find_input(
    source: Source, folder: Path | None, cache: Path, download: bool
) -> tuple[dict[str, object], Callable[[], tuple[Classes, Splits]]]:
    """Return the cache key of the input, and a function that opens it."""
    columns = [*source.image, source.label]
    key: dict[str, object] = {
        "layout": [LAYOUT, images.LAYOUT],
        "shape": source.shape,
        "columns": columns,
    }
    key |= {"drop": source.drop, "classes": source.classes}
    if folder is None and source.tar:
        requested = source.name in os.environ.get("TUNERY_DOWNLOAD", "").split(",")
        try:
            folder = downloads.download_archive(
                source.tar, cache, source.name, download=download and requested
            )
        except DataMissingError as error:
            raise DataMissingError(f"{error}\n{describe_options(source)}") from error
    if folder is None:
        key |= {"hub": source.hub, "config": source.hub_config, "train": source.train}
        if not download:
            check_downloaded(source, cache, key)
        return key, lambda: _open_shards(source, parquet.download_splits(source))
    try:
        files = parquet.find_files(source, folder)
    except DataMissingError:
        try:
            root = prepare.find_class_folders(source.name, folder)
            if root is None:
                raise
            photos, classes, state = prepare.list_photos(root)
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
        return {**key, "files": state}, lambda: (classes, {"all": (len(photos), photos)})
    hashes = parquet.hash_files(files, cache)
    return {**key, "files": hashes}, lambda: _open_shards(
        source, {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
    )


def _open_shards(source: Source, shards: dict[str, list[Shard]]) -> tuple[Classes, Splits]:
    class_lists = {shard.classes for split in shards.values() for shard in split} - {()}
    if len(class_lists) > 1:
        raise UserError(f"{source.name}: the files have different classes: {sorted(class_lists)}")
    classes = class_lists.pop() if class_lists else source.classes

    def photos(split: Sequence[Shard]) -> Iterator[Photo]:
        for shard in split:
            row = -1
            for rows in shard.read():
                for cell, label in rows:
                    row += 1
                    encoded = cell if isinstance(cell, dict) else {"bytes": cell}
                    name = f"{shard.name} row {row} {encoded.get('path') or ''}".strip()
                    is_valid = label is not None and 0 <= label < len(classes)
                    yield Photo(name, label if is_valid else -1, encoded["bytes"])

    splits: Splits = {
        name: (sum(shard.count for shard in split), photos(split))
        for name, split in shards.items()
    }
    # A data set with a train split only is divided like a folder.
    return classes, splits if "test" in splits else {"all": splits["train"]}


def _prepare(
    source: Source, draft: Path, classes: Classes, splits: Splits, records: Records
) -> None:
    # `drop` applies to the source's own photographs, not to a user's.
    drop = source.drop if classes == source.classes else ()
    total = sum(count for count, _ in splits.values())
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"preparing {source.name}", total=total)

        def chunks(split: str, photos: Iterable[Photo]) -> Iterator[Arrays]:
            pixels, labels = [np.empty((0, *source.shape), np.uint8)], [np.empty(0, np.int64)]
            for record, image in prepare.prepare_all(photos, source.shape[1], drop):
                progress.advance(task)
                records.append((split, record))
                if image is not None:
                    pixels.append(image[None])
                    labels.append(np.array([record.label], np.int64))
                if len(pixels) > CHUNK:
                    yield np.concatenate(pixels), np.concatenate(labels)
                    pixels, labels = pixels[:1], labels[:1]
            yield np.concatenate(pixels), np.concatenate(labels)

        arrays = {split: chunks(split, photos) for split, (_, photos) in splits.items()}
        images.write_splits(draft, source, arrays, total, classes=classes)
    _check_class_sizes(source, classes, records, all_classes="all" in splits)
    with (draft / "prepared.csv").open(
        "w", encoding="utf-8", newline="", errors="surrogateescape"
    ) as file:
        table = csv.writer(file)
        table.writerow(("split", "row", "file", "class", "done", "why"))
        rows: Counter[str] = Counter()
        for split, record in records:
            row = "" if record.dropped else rows[split]
            done = "dropped" if record.dropped else "converted" if record.notes else "kept"
            name = classes[record.label] if record.label >= 0 else ""
            table.writerow((split, row, record.name, name, done, "; ".join(record.notes)))
            rows[split] += not record.dropped


def _check_class_sizes(
    source: Source, classes: Classes, records: Records, all_classes: bool
) -> None:
    """Raise UserError if a class has too few usable images.

    Classes without any image are checked with `all_classes` only.
    """
    usable = Counter(record.label for _, record in records if not record.dropped)
    total = Counter(record.label for _, record in records)
    few = [i for i in range(len(classes)) if usable[i] < MIN_IMAGES and (all_classes or total[i])]
    if len(classes) >= 2 and not few:
        return
    lines = [f"{source.name}: {len(classes)} classes, at least 2 are needed"]
    if few:
        lines = [f"{source.name}: classes with fewer than {MIN_IMAGES} usable images"]
        lines += [f"  {classes[i]}: {usable[i]} of {total[i]}" for i in few[:10]]
        lines += [f"  and {len(few) - 10} more"] if len(few) > 10 else []
    dropped = [record for _, record in records if record.dropped]
    lines += [f"dropped: {record.name}: {'; '.join(record.notes)}" for record in dropped[:5]]
    lines += [f"and {len(dropped) - 5} more"] if len(dropped) > 5 else []
    lines.append("put the images of each class directly into its folder, or remove the folder")
    raise UserError("\n".join(lines))


def _format_summary(source: Source, classes: Classes, records: Records) -> list[str]:
    """Return the statistics of a preparation as lines."""
    size = source.shape[1]
    kept = [record for _, record in records if not record.dropped]
    per_class = Counter(record.label for record in kept)
    counts = sorted(per_class[label] for label in range(len(classes)))
    sides = sorted(min(record.size) for record in kept)
    small = sum(side < size for side in sides)
    lines = [
        f"{source.name}: {len(kept):,} images of {len(classes)} classes, {counts[0]:,} to "
        f"{counts[-1]:,} per class (median {median(counts):,.0f})",
        f"shorter side {sides[0]:,} to {sides[-1]:,} pixels (median {median(sides):,.0f})",
        f"converted to {size} x {size}: shorter side resized, center cropped; "
        f"{small:,} were smaller",
    ]
    if source.classes and set(classes) != set(source.classes):
        lines.append(
            f"the classes are those of the data, not the {len(source.classes)} of {source.name}"
        )
    for done, group in (
        ("converted", [record for record in kept if record.notes]),
        ("dropped", [record for _, record in records if record.dropped]),
    ):
        reasons = Counter(prepare.parse_kind(note) for record in group for note in record.notes)
        details = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        lines.append(f"{done}: {len(group):,}" + (f" ({details})" if details else ""))
    return lines
