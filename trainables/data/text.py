"""Labelled texts from tables or the hub, stored as Arrow once per machine.

Any table with texts and labels is enough: its labels are the classes. Copies of a text are kept
in one part, and rows without a text or a label are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from trainables import cache as caches
from trainables.data import parquet, text_parts, text_tables
from trainables.data.losses import ACCEPTED, Losses, check_losses
from trainables.data.source import Source, check_downloaded
from trainables.data.splitting import split_stratified
from trainables.data.text_columns import Columns
from trainables.data.text_parts import Arrays
from trainables.errors import UserError
from trainables.predictor import DataKind, GroundTruth
from trainables.terminal import print_text

LAYOUT = 3  # version of the Arrow files; a new number makes every machine read the files again
VALIDATION = 0.1  # fraction of train, if the files have no validation split
WORDS = tuple(a + b + c for a in "bdklm" for b in "aeiou" for c in ("", "n", "s"))
PLACEHOLDER_SIZES = {"train": 60, "validation": 30, "test": 30}


@dataclass(frozen=True)
class TextSplit:
    """A split: texts (objects of type str, N) and labels (int64, N); an id is a position."""

    texts: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def head(self, share: float) -> TextSplit:
        """Return the split with the first rows only: that share of them, at least one."""
        return self.select(slice(max(1, round(share * len(self)))))

    def select(self, rows: np.ndarray | slice) -> TextSplit:
        """Return the split with these rows only."""
        return TextSplit(self.texts[rows], self.labels[rows])


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
    is_own: bool = False  # of the user, with other classes than the data set's

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
    columns: Columns | None = None,
    accept_losses: float = ACCEPTED,
    may_be_few: bool = False,
) -> TextData:
    """Load a data set; read its tables first if this machine has not done so yet.

    `folder` is a table, or holds a table or one per part, or a folder of the data set's name with
    them. Their classes may be others than the source's. Without it the texts come from the hub;
    with `download` False, from an earlier download only. `columns` names columns that are not
    found. Parts that the data do not have are drawn from train, a stratified tenth each, always
    the same; where examples `may_be_few`, such a part may be empty. Raises DataMissingError, or
    UserError for data that cannot be used or of which a larger fraction than `accept_losses`
    cannot.
    """
    if kind == "synthetic":
        raise UserError(f"{source.name} has no synthetic data; omit --data synthetic")
    if kind == "placeholder":
        source = replace(source, classes=source.classes or ("0", "1"))
        drawings = {split: _draw_placeholder(source, split) for split in PLACEHOLDER_SIZES}
        placeholders = {split: TextSplit(*drawing) for split, drawing in drawings.items()}
        return _build_data(source, placeholders, source.classes, "placeholder", kind)
    key: dict[str, object] = {"texts": LAYOUT, "classes": source.classes}
    summary: list[str] = []
    if folder:
        files = text_tables.find_tables(source, folder)
        columns = columns or Columns()
        key |= {"files": parquet.hash_files(files, cache), "columns": vars(columns)}
        key |= {"folder": files["train"][0].parent.name}
    else:
        key |= {"hub": source.hub}
        if not download:
            check_downloaded(source, cache, key)

    def build(draft: Path) -> None:
        losses: list[str] = []
        if folder:
            content = text_parts.read_tables(source, files, columns or Columns(), losses)
        else:
            content = text_parts.read_hub(source)
        text_parts.write_parts(source, content, losses, draft, summary)

    stored = caches.get_or_build(cache, source.name, key, build)
    facts, arrays, groups = text_parts.read_parts(stored)
    if (unfit := facts.get("unfit")) and not may_be_few:
        raise UserError(unfit)
    drawn = [part for part in ("validation", "test") if part not in arrays]
    splits = _make_splits(arrays, groups)
    if summary:
        sizes = "split: {:,} train, {:,} validation, {:,} test"
        summary.append(sizes.format(*map(len, splits.values())))
        summary[-1] += f" ({' and '.join(drawn)} drawn from train)" if drawn else ""
        print_text("\n  ".join(summary), sys.stderr)
    found = facts["losses"]
    losses = Losses(found["total"], found["lost"], found["first"])
    check_losses(source.name, losses, accept_losses, is_set=not may_be_few)
    return _build_data(source, splits, facts["classes"], facts["fingerprint"], kind)


def _build_data(
    source: Source,
    splits: Mapping[str, TextSplit],
    classes: Sequence[str],
    fingerprint: str,
    kind: DataKind,
) -> TextData:
    parts = (splits["train"], splits["validation"], splits["test"])
    is_own = source.has_other_classes(classes)
    return TextData(source.name, *parts, tuple(classes), fingerprint, kind, is_own)


def _make_splits(
    arrays: Mapping[str, Arrays], groups: Mapping[str, np.ndarray]
) -> dict[str, TextSplit]:
    """Return the three splits; those that the data do not have are drawn from train."""
    splits = {part: TextSplit(*arrays[part]) for part in arrays}
    own = groups["train"]
    train = splits["train"].select(own >= 0)
    own = own[own >= 0]
    fraction = VALIDATION
    for part in ("test", "validation"):
        if part not in splits:
            rest, drawn = split_stratified(train.labels, fraction, 0, own)
            splits[part] = train.select(drawn)
            train, own = train.select(rest), own[rest]
            fraction = VALIDATION / (1 - VALIDATION)
    return {"train": train, "validation": splits["validation"], "test": splits["test"]}


def build_ground_truth(data: TextData) -> GroundTruth:
    """Return the labels and the texts of validation and test for reports."""
    splits = {"validation": data.validation, "test": data.test}
    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        is_own=data.is_own,
        classes=data.classes,
        targets={name: split.labels for name, split in splits.items() if len(split)},
        inputs=lambda name: splits[name].texts,
        examples=lambda name: (data.splits[name].texts, data.splits[name].labels),
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
