"""Photographs of any size, from class folders or from Parquet files, as square uint8 tensors.

A folder per class is enough: the names of the folders are the classes. Every image is turned
upright, its shorter side resized and its center cropped, once per machine. Copies of a photograph
are kept in one part. `prepared.csv` beside the arrays lists what was dropped or converted; a
summary is printed once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from trainables import cache as caches
from trainables.console import SafeConsole
from trainables.data import bit_depth, images, parquet, photo_folders, photo_list, prepare
from trainables.data import download as downloads
from trainables.data.formats import has_heif
from trainables.data.images import ImageData
from trainables.data.losses import ACCEPTED, Losses, check_losses
from trainables.data.parquet import Shard
from trainables.data.photo_list import Records
from trainables.data.prepare import Photo
from trainables.data.source import (
    Arrays,
    DataMissingError,
    Source,
    check_downloaded,
    describe_options,
)
from trainables.data.splitting import Example, describe_class_sizes, group_examples
from trainables.errors import UserError
from trainables.predictor import DataKind
from trainables.terminal import print_text

LAYOUT = 2  # version of the arrays; a new number makes every machine prepare again
CHUNK = 64  # images per write


@dataclass(frozen=True)
class PhotoInput:
    """Photographs to prepare: train alone, or several parts. A part can be read repeatedly."""

    classes: tuple[str, ...]
    parts: Mapping[str, Callable[[], Iterable[Photo]]]
    counts: Mapping[str, int]
    groups: Mapping[str, str]  # by the name of a photograph
    advice: str  # what to do where a class has too few
    allow_empty: bool  # classes without a photograph


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
    accept_losses: float = ACCEPTED,
    may_be_few: bool = False,
) -> ImageData:
    """Load photographs as size x size images; prepare them first if this machine has not yet.

    The classes are those of the data, even if the source lists others. `folder`, or a folder of
    the source's name in it, holds Parquet files or one folder per class, also within folders
    train, validation and test. Without it, the source's archive or its data set on the hub is
    used; with `download` False, from an earlier download only. Archives are large: one is
    downloaded only if TUNERY_DOWNLOAD names the source. Parts that the data do not have are drawn
    from train, stratified: a tenth each, with the same test set for every seed; where examples
    `may_be_few`, such a part may be empty. Raises DataMissingError, or UserError for data that
    cannot be used or of which a larger fraction than `accept_losses` cannot.
    """
    source = replace(source, shape=(3, size, size), photos=True)
    if kind != "real":
        root = photo_folders.find_root(source.name, folder) if folder else None
        names = photo_folders.list_photos(root).classes if root else source.classes
        source = replace(source, classes=names or tuple("0123456789"))
        options: dict[str, Any] = {"validation": validation, "split_seed": split_seed}
        return images.load(source, folder=None, cache=cache, kind=kind, **options)
    key, open_input = _find_input(source, folder, cache, download)
    summary: list[str] = []
    at = caches.get_or_build(
        cache, source.name, key, lambda draft: _prepare(source, draft, open_input(), summary)
    )
    facts, arrays = images.open_splits(at)
    if (unfit := facts.pop("unfit", "")) and not may_be_few:
        raise UserError(unfit)
    classes = tuple(facts.pop("classes"))
    losses = Losses(**{**(found := facts.pop("losses")), "first": tuple(found["first"])})
    groups = {part: np.load(at / f"groups-{part}.npy") for part in arrays}
    splits = images.make_splits(arrays, validation, split_seed, groups)
    if summary:
        sizes = "split: {:,} train, {:,} validation, {:,} test"
        drawn = [part for part in ("validation", "test") if part not in arrays]
        summary.append(
            sizes.format(*map(len, splits))
            + (f" ({' and '.join(drawn)} drawn from train)" if drawn else "")
        )
        summary.append(f"list of all photographs: {at / 'prepared.csv'}")
        print_text("\n  ".join(summary), sys.stderr)
    check_losses(source.name, losses, accept_losses, is_set=not may_be_few)
    is_own = source.has_other_classes(classes)
    return ImageData(*splits, classes=classes, source=kind, is_own=is_own, **facts)


def _find_input(
    source: Source, folder: Path | None, cache: Path, download: bool
) -> tuple[dict[str, object], Callable[[], PhotoInput]]:
    """Return the cache key of the input, and a function that opens it."""
    key: dict[str, object] = {
        "layout": [LAYOUT, images.LAYOUT],
        "shape": source.shape,
        "columns": [*source.image, source.label],
        "heif": has_heif(),
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
            root = photo_folders.find_root(source.name, folder)
            if root is None:
                raise
            found = photo_folders.list_photos(root)
        except OSError as error:
            raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error
        parts = {part: (lambda photos=photos: photos) for part, photos in found.parts.items()}
        counts = {part: len(photos) for part, photos in found.parts.items()}
        advice = f"put more photographs of each class below its folder in {root}, or remove it"
        content = PhotoInput(found.classes, parts, counts, found.groups, advice, False)
        return {**key, "files": found.state}, lambda: content
    hashes = parquet.hash_files(files, cache)
    return {**key, "files": hashes}, lambda: _open_shards(
        source, {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
    )


def _open_shards(source: Source, shards: dict[str, list[Shard]]) -> PhotoInput:
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

    parts = {name: (lambda split=split: photos(split)) for name, split in shards.items()}
    counts = {name: sum(shard.count for shard in split) for name, split in shards.items()}
    advice = "add rows of these classes, or remove those that there are"
    return PhotoInput(classes, parts, counts, {}, advice, True)


def _prepare(source: Source, draft: Path, content: PhotoInput, summary: list[str]) -> None:
    """Write arrays, groups, facts and the list of all photographs; extend the summary."""
    # `drop` applies to the source's own photographs, not to a user's.
    drop = source.drop if content.classes == source.classes else ()
    total = sum(content.counts.values())
    largest = bit_depth.find_range(
        photo.content for part in content.parts.values() for photo in part()
    )
    records: Records = {part: [] for part in content.parts}
    with Progress(console=SafeConsole(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"preparing {source.name}", total=total)

        def chunks(part: str) -> Iterator[Arrays]:
            pixels, labels = [np.empty((0, *source.shape), np.uint8)], [np.empty(0, np.int64)]
            photos = content.parts[part]()
            for record, image in prepare.prepare_all(photos, source.shape[1], drop, largest):
                progress.advance(task)
                records[part].append(record)
                if image is not None:
                    pixels.append(image[None])
                    labels.append(np.array([record.label], np.int64))
                if len(pixels) > CHUNK:
                    yield np.concatenate(pixels), np.concatenate(labels)
                    pixels, labels = pixels[:1], labels[:1]
            yield np.concatenate(pixels), np.concatenate(labels)

        facts = images.write_splits(draft, source, {p: chunks(p) for p in content.parts}, total)
    examples = {
        part: [
            Example(record.name, record.label, record.digest, content.groups.get(record.name, ""))
            for record in found
            if not record.dropped
        ]
        for part, found in records.items()
    }
    groups, told = group_examples(source.name, examples)
    dropped = photo_list.describe_dropped(records)
    advice = [*dropped, content.advice]
    unfit = describe_class_sizes(
        source.name, content.classes, examples, groups, advice, allow_empty=content.allow_empty
    )
    checksum = hashlib.sha256(json.dumps([facts["fingerprint"], content.classes]).encode())
    for part, numbers in groups.items():
        np.save(draft / f"groups-{part}.npy", numbers)
        checksum.update(numbers.tobytes())
    facts |= {"fingerprint": checksum.hexdigest()[:16], "classes": content.classes, "unfit": unfit}
    facts["losses"] = vars(photo_list.count_photo_losses(records))
    images.write_facts(draft, facts)
    photo_list.write(draft / "prepared.csv", content.classes, records, groups)
    summary += photo_list.summarize(source, content.classes, records)
    summary += told
