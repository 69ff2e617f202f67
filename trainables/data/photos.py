"""Photographs of any size, from a folder per class or from Parquet, as square uint8 tensors.

A user's own folder works as it is: its folders' names are the classes. Every image is turned
upright, its shorter side resized and its middle cropped, once per machine; what was dropped or
converted stands in `prepared.csv` beside the arrays, and what there is is told once.
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
from trainables.data.source import Arrays, DataKind, DataMissingError, Source, describe_options
from trainables.errors import UserError

LAYOUT = 1  # of what this and prepare.py make; a new number makes every machine prepare anew
LEAST = 3  # usable images of a class: one each to train on, to validate and to test
CHUNK = 64  # images written at once

Classes = tuple[str, ...]
Parts = dict[str, tuple[int, Iterable[Photo]]]
"""Per split how many photographs there are, and they."""
Fates = list[tuple[str, PhotoRecord]]
"""Per photograph its split and what became of it."""


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
    """Load photographs as size x size images, preparing them where this machine has not yet.

    The classes are those of the data, whatever the source expects. A `folder` is or holds under
    the source's name Parquet files or a folder per class; without it the source's archive or its
    data set on the hub is taken, with `download` False from an earlier download alone. An archive
    is large: it is fetched only where TUNERY_DOWNLOAD names the source. Data without splits are
    cut 80/10/10 by class, the test part the same for every seed. Raises
    DataMissingError, or UserError for data that cannot be used.
    """
    source = replace(source, shape=(3, size, size), photos=True)
    if kind != "real":
        root = prepare.find_class_folders(source.name, folder) if folder else None
        names = prepare.list_photos(root)[1] if root else source.classes or tuple("0123456789")
        source = replace(source, classes=names)
        chosen: dict[str, Any] = {"validation": validation, "split_seed": split_seed}
        return images.load(source, folder=None, cache=cache, kind=kind, **chosen)
    key, find = _found(source, folder, cache, download)
    fates: Fates = []

    def build(draft: Path) -> None:
        _build(source, draft, *find(), fates)

    at = caches.get_or_build(cache, source.name, key, build)
    facts, arrays = images.open_splits(at)
    classes = tuple(facts.pop("classes"))
    parts = images.make_splits(arrays, validation, split_seed)
    if fates:
        split = "split: {:,} to train on, {:,} to validate, {:,} to test"
        lines = [*_told(source, classes, fates), split.format(*map(len, parts))]
        lines.append(f"what became of each: {at / 'prepared.csv'}")
        print("\n  ".join(lines), file=sys.stderr)
    return ImageData(*parts, classes=classes, source=kind, **facts)


def _found(
    source: Source, folder: Path | None, cache: Path, download: bool
) -> tuple[dict[str, object], Callable[[], tuple[Classes, Parts]]]:
    """Give a key for what is there, and how to open it."""
    columns = [*source.image, source.label]
    key: dict[str, object] = {
        "layout": [LAYOUT, images.LAYOUT],
        "shape": source.shape,
        "columns": columns,
    }
    key |= {"drop": source.drop, "classes": source.classes}
    if folder is None and source.tar:
        wanted = source.name in os.environ.get("TUNERY_DOWNLOAD", "").split(",")
        try:
            folder = downloads.download_archive(
                source.tar, cache, source.name, download=download and wanted
            )
        except DataMissingError as error:
            raise DataMissingError(f"{error}\n{describe_options(source)}") from error
    if folder is None:
        key |= {"hub": source.hub, "config": source.hub_config, "train": source.train}
        if not download and not caches.cache_path(cache, source.name, key).is_dir():
            raise DataMissingError(
                f"{source.name}: no --data-dir was given, and {cache} holds no earlier download "
                f"of {source.hub}\n{describe_options(source)}"
            )
        return key, lambda: _sharded(source, parquet.download_splits(source))
    try:
        try:
            files = parquet.find_files(source, folder)
        except DataMissingError:
            root = prepare.find_class_folders(source.name, folder)
            if root is None:
                raise
            photos, classes, state = prepare.list_photos(root)
            return {**key, "files": state}, lambda: (classes, {"all": (len(photos), photos)})
        hashes = {s: [caches.hash_file(path, cache) for path in files[s]] for s in files}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
    return {**key, "files": hashes}, lambda: _sharded(
        source, {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
    )


def _sharded(source: Source, shards: dict[str, list[Shard]]) -> tuple[Classes, Parts]:
    told = {shard.classes for split in shards.values() for shard in split} - {()}
    if len(told) > 1:
        raise UserError(f"{source.name}: the files disagree about the classes: {sorted(told)}")
    classes = told.pop() if told else source.classes

    def photos(split: Sequence[Shard]) -> Iterator[Photo]:
        for shard in split:
            row = -1
            for rows in shard.read():
                for cell, label in rows:
                    row += 1
                    encoded = cell if isinstance(cell, dict) else {"bytes": cell}
                    name = f"{shard.name} row {row} {encoded.get('path') or ''}".strip()
                    known = label is not None and 0 <= label < len(classes)
                    yield Photo(name, label if known else -1, encoded["bytes"])

    parts: Parts = {s: (sum(shard.count for shard in of), photos(of)) for s, of in shards.items()}
    # A data set with nothing but a train split is cut as a folder is.
    return classes, parts if "test" in parts else {"all": parts["train"]}


def _build(source: Source, draft: Path, classes: Classes, parts: Parts, fates: Fates) -> None:
    # What is left out of MIT67's own rooms need not be wrong in a user's pictures.
    drop = source.drop if classes == source.classes else ()
    total = sum(count for count, _ in parts.values())
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"preparing {source.name}", total=total)

        def chunks(split: str, photos: Iterable[Photo]) -> Iterator[Arrays]:
            pixels, labels = [np.empty((0, *source.shape), np.uint8)], [np.empty(0, np.int64)]
            for fate, image in prepare.prepare_all(photos, source.shape[1], drop):
                progress.advance(task)
                fates.append((split, fate))
                if image is not None:
                    pixels.append(image[None])
                    labels.append(np.array([fate.label], np.int64))
                if len(pixels) > CHUNK:
                    yield np.concatenate(pixels), np.concatenate(labels)
                    pixels, labels = pixels[:1], labels[:1]
            yield np.concatenate(pixels), np.concatenate(labels)

        splits = {split: chunks(split, photos) for split, (_, photos) in parts.items()}
        images.write_splits(draft, source, splits, total, classes=classes)
    _refuse(source, classes, fates, every="all" in parts)
    with (draft / "prepared.csv").open(
        "w", encoding="utf-8", newline="", errors="surrogateescape"
    ) as file:
        table = csv.writer(file)
        table.writerow(("split", "row", "file", "class", "done", "why"))
        rows: Counter[str] = Counter()
        for split, fate in fates:
            place = "" if fate.dropped else rows[split]
            done = "dropped" if fate.dropped else "converted" if fate.notes else "kept"
            name = classes[fate.label] if fate.label >= 0 else ""
            table.writerow((split, place, fate.name, name, done, "; ".join(fate.notes)))
            rows[split] += not fate.dropped


def _refuse(source: Source, classes: Classes, fates: Fates, every: bool) -> None:
    """Refuse a class with too few usable images; `every` class, or those that have any at all."""
    usable = Counter(fate.label for _, fate in fates if not fate.dropped)
    tried = Counter(fate.label for _, fate in fates)
    few = [i for i in range(len(classes)) if usable[i] < LEAST and (every or tried[i])]
    if len(classes) >= 2 and not few:
        return
    lines = [f"{source.name}: {len(classes)} classes, and at least 2 are needed"]
    if few:
        lines = [f"{source.name}: classes with fewer than {LEAST} usable images"]
        lines += [f"  {classes[i]}: {usable[i]} of {tried[i]}" for i in few[:10]]
        lines += [f"  and {len(few) - 10} more"] if len(few) > 10 else []
    dropped = [fate for _, fate in fates if fate.dropped]
    lines += [f"dropped: {fate.name}: {'; '.join(fate.notes)}" for fate in dropped[:5]]
    lines += [f"and {len(dropped) - 5} more"] if len(dropped) > 5 else []
    lines.append("give every class a folder with its images right in it, or remove the folder")
    raise UserError("\n".join(lines))


def _told(source: Source, classes: Classes, fates: Fates) -> list[str]:
    """Give the statistics of a preparation, line by line."""
    size = source.shape[1]
    kept = [fate for _, fate in fates if not fate.dropped]
    per_class = Counter(fate.label for fate in kept)
    counts = sorted(per_class[label] for label in range(len(classes)))
    sides = sorted(min(fate.size) for fate in kept)
    small = sum(side < size for side in sides)
    lines = [
        f"{source.name}: {len(kept):,} images of {len(classes)} classes, {counts[0]:,} to "
        f"{counts[-1]:,} in each (median {median(counts):,.0f})",
        f"shorter side {sides[0]:,} to {sides[-1]:,} pixels (median {median(sides):,.0f})",
        f"each to {size} x {size}: shorter side resized, middle cropped; {small:,} were smaller",
    ]
    if source.classes and set(classes) != set(source.classes):
        lines.append(f"the classes are the data's own, not the {len(source.classes)} expected")
    for done, of in (
        ("converted", [fate for fate in kept if fate.notes]),
        ("dropped", [fate for _, fate in fates if fate.dropped]),
    ):
        reasons = Counter(prepare.parse_kind(note) for fate in of for note in fate.notes)
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        lines.append(f"{done}: {len(of):,}" + (f" ({why})" if why else ""))
    return lines
