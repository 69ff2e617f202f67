"""Labelled texts from Parquet files in the hub's layout, kept as Arrow once per machine."""

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
from trainables.data.images import split_stratified
from trainables.data.parquet import Shard
from trainables.data.source import DataKind, DataMissingError, Source, describe_options
from trainables.errors import UserError
from trainables.predictor import GroundTruth

LAYOUT = 1  # of the Arrow files; a new number makes every machine read the Parquet files anew
VALIDATION = 0.1  # of train, where the files have no validation split of their own
WORDS = tuple(a + b + c for a in "bdklm" for b in "aeiou" for c in ("", "n", "s"))
MADE_UP = {"train": 60, "validation": 30, "test": 30}

Arrays = tuple[np.ndarray, np.ndarray]
"""Texts (objects of type str, N) and their labels (int64, N)."""


@dataclass(frozen=True)
class TextSplit:
    """A split: texts (objects of type str, N) and labels (int64, N); an id is a place in it."""

    texts: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, share: float) -> TextSplit:
        """Keep the first part of the rows, at least one."""
        count = max(1, round(share * len(self)))
        return TextSplit(self.texts[:count], self.labels[:count])


@dataclass(frozen=True)
class TextData:
    """The three splits of a data set, and a fingerprint of their content."""

    name: str
    train: TextSplit
    validation: TextSplit
    test: TextSplit
    classes: tuple[str, ...]
    fingerprint: str
    source: DataKind

    @property
    def splits(self) -> dict[str, TextSplit]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


def define_text_source(name: str, hub: str, classes: tuple[str, ...]) -> Source:
    """Describe a data set of texts: files with a column `text` where others have an image."""
    return Source(name, hub, (0, 0, 0), classes, image=("text",))


def load(
    source: Source,
    *,
    folder: Path | None,
    cache: Path,
    kind: DataKind = "real",
    download: bool = True,
) -> TextData:
    """Load a data set, reading its Parquet files first where this machine has not done so yet.

    A `folder` is the data set's own or holds one of its name; without it the texts come from the
    hub, or with `download` False from an earlier download alone. Validation is the files' own
    split where they have one, else a tenth of train, class by class and always the same. Raises
    DataMissingError, or UserError for data that cannot be used.
    """
    if kind == "synthetic":
        raise UserError(f"{source.name} has no synthetic data; leave --data synthetic out")
    if kind == "placeholder":
        arrays = {split: _made_up(source, split) for split in MADE_UP}
        fingerprint = "placeholder"
    else:
        at = _from_folder(source, folder, cache) if folder else _from_hub(source, cache, download)
        fingerprint, arrays = _opened(at)
    if "validation" not in arrays:
        texts, labels = arrays["train"]
        kept, drawn = split_stratified(labels, VALIDATION, seed=0)
        arrays["train"] = texts[kept], labels[kept]
        arrays["validation"] = texts[drawn], labels[drawn]
    parts = {split: TextSplit(*arrays[split]) for split in MADE_UP}
    return TextData(
        source.name, **parts, classes=source.classes, fingerprint=fingerprint, source=kind
    )


def build_ground_truth(data: TextData) -> GroundTruth:
    """Give a report the right answers of the two parts that are predicted, and their texts."""
    parts = {"validation": data.validation, "test": data.test}
    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        classes=data.classes,
        targets={split: part.labels for split, part in parts.items()},
        inputs=lambda split: parts[split].texts,
    )


def _made_up(source: Source, split: str) -> Arrays:
    """Draw sentences of short words; every class prefers some words."""
    generator = np.random.default_rng([len(source.classes), *split.encode()])
    labels = np.arange(MADE_UP[split], dtype=np.int64) % len(source.classes)
    likely = generator.integers(1, 6, (len(source.classes), len(WORDS))).astype(float)
    likely[np.arange(len(WORDS)) % len(source.classes), np.arange(len(WORDS))] += 5
    texts = [
        " ".join(generator.choice(WORDS, 3 + row % 6, p=likely[label] / likely[label].sum()))
        for row, label in enumerate(labels)
    ]
    return np.array(texts, dtype=object), labels


def _from_folder(source: Source, folder: Path, cache: Path) -> Path:
    files = parquet.find_files(source, folder)
    try:
        hashes = {s: [caches.hash_file(path, cache) for path in files[s]] for s in files}
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}") from error

    def build(draft: Path) -> None:
        shards = {s: [parquet.open_file(source, path) for path in files[s]] for s in files}
        _store(source, shards, draft)

    return caches.get_or_build(cache, source.name, {**_key(source), "files": hashes}, build)


def _from_hub(source: Source, cache: Path, download: bool) -> Path:
    key = {**_key(source), "hub": source.hub}
    if not download and not caches.cache_path(cache, source.name, key).is_dir():
        raise DataMissingError(
            f"{source.name}: no --data-dir was given, and {cache} holds no earlier download of "
            f"{source.hub}\n{describe_options(source)}"
        )

    def build(draft: Path) -> None:
        _store(source, parquet.download_splits(source), draft)

    return caches.get_or_build(cache, source.name, key, build)


def _key(source: Source) -> dict[str, object]:
    return {"texts": LAYOUT, "columns": [*source.image, source.label], "classes": source.classes}


def _store(source: Source, splits: Mapping[str, Sequence[Shard]], draft: Path) -> None:
    checksum = hashlib.sha256()
    for split, shards in splits.items():
        texts, labels = [], []
        for shard in shards:
            rows = (row for chunk in shard.read() for row in chunk)
            for number, (text, label) in enumerate(rows):
                if not isinstance(text, str) or label not in range(len(source.classes)):
                    raise UserError(
                        f"{shard.name} row {number}: text {text!r:.60} with the label {label}; "
                        f"wanted are words and a label of 0 to {len(source.classes) - 1}\n"
                        "leave such rows out of the file"
                    )
                texts.append(text)
                labels.append(label)
        if not texts:
            raise UserError(f"{', '.join(shard.name for shard in shards)}: the split is empty")
        checksum.update(json.dumps([split, texts, labels]).encode())
        columns = {"text": pa.array(texts), "label": pa.array(labels, pa.int64())}
        arrow.write(draft / f"{split}.arrow", columns)
    (draft / "fingerprint").write_text(checksum.hexdigest()[:16])


def _opened(at: Path) -> tuple[str, dict[str, Arrays]]:
    arrays = {}
    for path in sorted(at.glob("*.arrow")):
        columns = arrow.read_mapped(path)
        texts = columns["text"].to_numpy(zero_copy_only=False)
        # A copy, since torch wants memory it may write to.
        arrays[path.stem] = texts, columns["label"].to_numpy().copy()
    return (at / "fingerprint").read_text(), arrays
