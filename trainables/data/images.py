"""Image data sets as one uint8 tensor per split, decoded once per machine for all trials."""

from __future__ import annotations

import hashlib
import inspect
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import PIL
import torch
from rich.progress import Progress

from trainables import cache as caches
from trainables.console import SafeConsole
from trainables.data import parquet
from trainables.data.parquet import Shard
from trainables.data.source import Arrays, Source, check_downloaded
from trainables.data.splitting import TEST, split_stratified
from trainables.errors import UserError
from trainables.predictor import DataKind

LAYOUT = 2  # version of the decoded files; a new number makes every machine decode again


@dataclass(frozen=True)
class Split:
    """The `rows` of `pixels` and `labels` that belong to a split; two splits may share both."""

    pixels: torch.Tensor  # uint8, N x C x H x W, memory-mapped if decoded from files
    labels: torch.Tensor  # int64, N
    rows: torch.Tensor  # int64, ascending; an example's id is its row

    def __len__(self) -> int:
        return len(self.rows)

    def to(self, device: torch.device | str) -> Split:
        """Return the split on a device."""
        return Split(self.pixels.to(device), self.labels.to(device), self.rows.to(device))

    def head(self, share: float) -> Split:
        """Return the split with the first rows only: that share of them, at least one."""
        return replace(self, rows=self.rows[: max(1, round(share * len(self)))])


@dataclass(frozen=True)
class ImageData:
    """The three splits of a data set; train and validation may be rows of the same tensor."""

    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    fingerprint: str  # hash of the decoded content of all files
    source: DataKind
    skipped: int  # damaged images left out
    is_own: bool = False  # of the user, with other classes than the data set's

    def to(self, device: torch.device | str) -> ImageData:
        """Return the data on a device; tensors that splits share are copied once."""
        moved: dict[int, torch.Tensor] = {}

        def move(tensor: torch.Tensor) -> torch.Tensor:
            if id(tensor) not in moved:
                moved[id(tensor)] = tensor.to(device)
            return moved[id(tensor)]

        train, validation, test = (
            Split(move(split.pixels), move(split.labels), move(split.rows))
            for split in (self.train, self.validation, self.test)
        )
        return replace(self, train=train, validation=validation, test=test)


def load(
    source: Source,
    *,
    folder: Path | None,
    cache: Path,
    kind: DataKind = "real",
    validation: float = 0.1,
    split_seed: int = 0,
    synthetic_size: int = 5_000,
    download: bool = True,
) -> ImageData:
    """Load a data set; decode its files first if this machine has not done so yet.

    `folder` holds the files or a folder of the data set's name. Without it the images come from
    the hub; with `download` False, from an earlier download only. Validation is the files' own
    split if they have one, else the fraction `validation` of train. Raises DataMissingError, or
    UserError for data that cannot be used.
    """
    facts: dict[str, Any] = {"fingerprint": "placeholder", "skipped": 0}
    if kind == "placeholder":
        counts = {"train": 512 * len(source.train), "test": 128}
        arrays = {s: _draw_noise(source, counts[s], seed) for seed, s in enumerate(counts)}
    else:
        if kind == "synthetic":
            decoded = _build_synthetic(source, cache, synthetic_size * len(source.train))
        elif folder is not None:
            decoded = _build_from_folder(source, folder, cache)
        else:
            decoded = _build_from_hub(source, cache, download)
        facts, arrays = open_splits(decoded)
    splits = make_splits(arrays, validation, split_seed)
    return ImageData(*splits, classes=source.classes, source=kind, **facts)


def make_splits(
    arrays: Mapping[str, Arrays],
    validation: float,
    seed: int,
    groups: Mapping[str, np.ndarray] | None = None,
) -> tuple[Split, Split, Split]:
    """Return train, validation and test; splits that the files do not have are drawn from train.

    A tenth is drawn as the test set, the same for every seed. `validation` is a fraction of
    train with the test set that is drawn. `groups`, if given, has the group of every example of
    each split: see `trainables.data.splitting`.
    """
    splits = {}
    for name, (images, labels) in arrays.items():
        rows = np.flatnonzero(groups[name] >= 0) if groups else np.arange(len(labels))
        splits[name] = Split(*map(torch.from_numpy, (images, labels, rows)))
    train_groups = groups["train"] if groups else None
    if "test" not in splits:
        splits["train"], splits["test"] = _draw_split(splits["train"], TEST, 0, train_groups)
        validation = validation / (1 - TEST)
    if "validation" not in splits:
        splits["train"], splits["validation"] = _draw_split(
            splits["train"], validation, seed, train_groups
        )
    return splits["train"], splits["validation"], splits["test"]


def _draw_split(
    split: Split, fraction: float, seed: int, groups: np.ndarray | None
) -> tuple[Split, Split]:
    rows = split.rows.numpy()
    labels = split.labels[split.rows].numpy()
    own = None if groups is None else groups[rows]
    rest, drawn = split_stratified(labels, fraction, seed, own)
    return replace(split, rows=split.rows[rest]), replace(split, rows=split.rows[drawn])


def _draw_noise(source: Source, count: int, seed: int) -> Arrays:
    count = max(count, 2 * len(source.classes))
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *source.shape), dtype=np.uint8)
    return images, np.arange(count, dtype=np.int64) % len(source.classes)


def _build_synthetic(source: Source, cache: Path, size: int) -> Path:
    if source.synthetic is None:
        raise UserError(f"{source.name} has no synthetic data; omit --data synthetic")
    # The key includes the code that draws: images of older code must not be used.
    program = inspect.getsource(sys.modules[source.synthetic.__module__])
    key = {
        **{"layout": LAYOUT, "size": size, "torch": torch.__version__, "pillow": PIL.__version__},
        "program": hashlib.sha256(program.encode()).hexdigest(),
    }

    def build(draft: Path) -> None:
        assert source.synthetic is not None
        counts = {"train": size, "test": max(1, size // 5)}
        chunks = {s: [source.synthetic(counts[s], seed)] for seed, s in enumerate(counts)}
        write_facts(draft, write_splits(draft, source, chunks, sum(counts.values())))

    return caches.get_or_build(cache, f"{source.name}-synthetic", key, build)


def _build_from_folder(source: Source, folder: Path, cache: Path) -> Path:
    files = parquet.find_files(source, folder)
    hashes = parquet.hash_files(files, cache)

    def build(draft: Path) -> None:
        shards = {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
        _decode(source, shards, draft)

    return caches.get_or_build(cache, source.name, {**_key(source), "files": hashes}, build)


def _build_from_hub(source: Source, cache: Path, download: bool) -> Path:
    key = {**_key(source), "train": source.train, "hub": source.hub, "config": source.hub_config}
    if not download:
        check_downloaded(source, cache, key)

    def build(draft: Path) -> None:
        _decode(source, parquet.download_splits(source), draft)

    return caches.get_or_build(cache, source.name, key, build)


def _key(source: Source) -> dict[str, object]:
    columns = [*source.image, source.label]
    return {"layout": LAYOUT, "shape": source.shape, "columns": columns, "classes": source.classes}


def _decode(source: Source, shards: Mapping[str, Sequence[Shard]], draft: Path) -> None:
    total = sum(shard.count for split in shards.values() for shard in split)
    with Progress(console=SafeConsole(stderr=True), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(f"decoding {source.name}", total=total)

        def advance(rows: int) -> None:
            progress.advance(task, rows)

        chunks = {s: parquet.decode_images(source, shards[s], advance) for s in shards}
        write_facts(draft, write_splits(draft, source, chunks, total))


def write_splits(
    draft: Path,
    source: Source,
    splits: Mapping[str, Iterable[Arrays]],
    total: int,
) -> dict[str, object]:
    """Write the chunks of every split as .npy files; return facts about them."""
    checksum = hashlib.sha256()
    count = 0
    for split, chunks in splits.items():
        checksum.update(split.encode())
        labels = []
        # Written as a stream: writing to a memory map on a full disk kills the process.
        with (draft / f"pixels-{split}.npy").open("wb") as file:
            _write_header(file, 0, source.shape)
            for pixels, chunk_labels in chunks:
                content = np.ascontiguousarray(pixels).data
                file.write(content)
                checksum.update(content)
                labels.append(chunk_labels)
            all_labels = np.concatenate(labels)
            checksum.update(all_labels.tobytes())
            file.seek(0)
            _write_header(file, len(all_labels), source.shape)
        np.save(draft / f"labels-{split}.npy", all_labels)
        count += len(all_labels)
    return {"fingerprint": checksum.hexdigest()[:16], "skipped": total - count}


def write_facts(draft: Path, facts: Mapping[str, object]) -> None:
    """Write facts beside the arrays of `write_splits`."""
    (draft / "facts.json").write_text(json.dumps(facts), encoding="utf-8")


def _write_header(file: BinaryIO, count: int, shape: tuple[int, ...]) -> None:
    # NumPy pads the header for a growing first dimension, so the final header fits over the first.
    header = {"descr": "|u1", "fortran_order": False, "shape": (count, *shape)}
    np.lib.format.write_array_header_1_0(file, header)


def open_splits(folder: Path) -> tuple[dict[str, Any], dict[str, Arrays]]:
    """Memory-map what `write_splits` wrote; raises UserError if it is damaged."""
    try:
        facts = json.loads((folder / "facts.json").read_text(encoding="utf-8"))
        arrays = {}
        for path in sorted(folder.glob("pixels-*.npy")):
            split = path.stem.removeprefix("pixels-")
            # Copy on write: torch needs writable memory, and the pages stay shared.
            images = np.load(path, mmap_mode="c")
            arrays[split] = (images, np.load(folder / f"labels-{split}.npy"))
        if "train" not in arrays:
            raise FileNotFoundError(folder / "pixels-*.npy")
    except (OSError, ValueError) as error:
        raise UserError(
            f"the decoded data in {folder} are damaged: {error}\ndelete that folder"
        ) from error
    return facts, arrays
