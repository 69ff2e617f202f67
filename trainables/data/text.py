"""Labelled texts from Parquet files in the hub's layout, stored as Arrow once per machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from trainables import cache as caches
from trainables.data import arrow, parquet
from trainables.data.parquet import Shard
from trainables.data.source import Source, check_downloaded
from trainables.data.splitting import split_stratified
from trainables.errors import UserError
from trainables.predictor import DataKind, GroundTruth

LAYOUT = 1  # version of the Arrow files; a new number makes every machine read the files again
VALIDATION = 0.1  # fraction of train, if the files have no validation split
WORDS = tuple(a + b + c for a in "bdklm" for b in "aeiou" for c in ("", "n", "s"))
PLACEHOLDER_SIZES = {"train": 60, "validation": 30, "test": 30}

Arrays = tuple[np.ndarray, np.ndarray]
"""Texts (objects of type str, N) and their labels (int64, N)."""


@dataclass(frozen=True)
class TextSplit:
    """A split: texts (objects of type str, N) and labels (int64, N); an id is a position."""

    texts: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, share: float) -> TextSplit:
        """Return the split with the first rows only: that share of them, at least one."""
        count = max(1, round(share * len(self)))
        return TextSplit(self.texts[:count], self.labels[:count])


@dataclass(frozen=True)
class TextData:
    """The three splits of a data set, and a hash of their content."""

    name: str
    train: TextSplit
    validation: TextSplit
    test: TextSplit
    classes: tuple[str, ...]
    fingerprint: str
    source: DataKind

    @property
    def splits(self) -> dict[str, TextSplit]:
        """Return the splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def define_text_source(name: str, hub: str, classes: tuple[str, ...]) -> Source:
    """Return the description of a data set of texts: files with a column `text`, no image."""
    return Source(name, hub, (0, 0, 0), classes, image=("text",))


def load(
    source: Source,
    *,
    folder: Path | None,
    cache: Path,
    kind: DataKind = "real",
    download: bool = True,
) -> TextData:
    """Load a data set; read its Parquet files first if this machine has not done so yet.

    `folder` holds the files or a folder of the data set's name. Without it the texts come from
    the hub; with `download` False, from an earlier download only. Validation is the files' own
    split if they have one, else a stratified tenth of train, always the same. Raises
    DataMissingError, or UserError for data that cannot be used.
    """
    if kind == "synthetic":
        raise UserError(f"{source.name} has no synthetic data; omit --data synthetic")
    if kind == "placeholder":
        arrays = {split: _draw_placeholder(source, split) for split in PLACEHOLDER_SIZES}
        fingerprint = "placeholder"
    else:
        if folder:
            stored = _build_from_folder(source, folder, cache)
        else:
            stored = _build_from_hub(source, cache, download)
        fingerprint, arrays = _read_splits(stored)
    if "validation" not in arrays:
        texts, labels = arrays["train"]
        rest, drawn = split_stratified(labels, VALIDATION, seed=0)
        arrays["train"] = texts[rest], labels[rest]
        arrays["validation"] = texts[drawn], labels[drawn]
    splits = {split: TextSplit(*arrays[split]) for split in PLACEHOLDER_SIZES}
    return TextData(
        source.name, **splits, classes=source.classes, fingerprint=fingerprint, source=kind
    )


def build_ground_truth(data: TextData) -> GroundTruth:
    """Return the labels and the texts of validation and test for reports."""
    splits = {"validation": data.validation, "test": data.test}
    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        classes=data.classes,
        targets={name: split.labels for name, split in splits.items()},
        inputs=lambda name: splits[name].texts,
    )


def _draw_placeholder(source: Source, split: str) -> Arrays:
    """Draw sentences of short words; some words are more frequent in each class."""
    generator = np.random.default_rng([len(source.classes), *split.encode()])
    labels = np.arange(PLACEHOLDER_SIZES[split], dtype=np.int64) % len(source.classes)
    weights = generator.integers(1, 6, (len(source.classes), len(WORDS))).astype(float)
    weights[np.arange(len(WORDS)) % len(source.classes), np.arange(len(WORDS))] += 5
    texts = [
        " ".join(generator.choice(WORDS, 3 + row % 6, p=weights[label] / weights[label].sum()))
        for row, label in enumerate(labels)
    ]
    return np.array(texts, dtype=object), labels


def _build_from_folder(source: Source, folder: Path, cache: Path) -> Path:
    files = parquet.find_files(source, folder)
    hashes = parquet.hash_files(files, cache)

    def build(draft: Path) -> None:
        shards = {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
        _write_splits(source, shards, draft)

    return caches.get_or_build(cache, source.name, {**_key(source), "files": hashes}, build)


def _build_from_hub(source: Source, cache: Path, download: bool) -> Path:
    key = {**_key(source), "hub": source.hub}
    if not download:
        check_downloaded(source, cache, key)

    def build(draft: Path) -> None:
        _write_splits(source, parquet.download_splits(source), draft)

    return caches.get_or_build(cache, source.name, key, build)


def _key(source: Source) -> dict[str, object]:
    return {"texts": LAYOUT, "columns": [*source.image, source.label], "classes": source.classes}


def _write_splits(source: Source, splits: Mapping[str, Sequence[Shard]], draft: Path) -> None:
    checksum = hashlib.sha256()
    for split, shards in splits.items():
        texts, labels = [], []
        for shard in shards:
            rows = (row for chunk in shard.read() for row in chunk)
            for number, (text, label) in enumerate(rows):
                if not isinstance(text, str) or label not in range(len(source.classes)):
                    raise UserError(
                        f"{shard.name} row {number}: text {text!r:.60} with the label {label}; "
                        f"expected a text and a label from 0 to {len(source.classes) - 1}\n"
                        "remove such rows from the file"
                    )
                texts.append(text)
                labels.append(label)
        if not texts:
            raise UserError(f"{', '.join(shard.name for shard in shards)}: the split is empty")
        checksum.update(json.dumps([split, texts, labels]).encode())
        columns = {"text": pa.array(texts), "label": pa.array(labels, pa.int64())}
        arrow.write(draft / f"{split}.arrow", columns)
    (draft / "fingerprint").write_text(checksum.hexdigest()[:16])


def _read_splits(folder: Path) -> tuple[str, dict[str, Arrays]]:
    arrays = {}
    for path in sorted(folder.glob("*.arrow")):
        columns = arrow.read_mapped(path)
        texts = columns["text"].to_numpy(zero_copy_only=False)
        # A copy, because torch needs writable memory.
        arrays[path.stem] = texts, columns["label"].to_numpy().copy()
    return (folder / "fingerprint").read_text(), arrays
