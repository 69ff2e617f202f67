"""What became of each photograph: the list prepared.csv, and the summary that is printed once."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np

from trainables.data.losses import Losses, count_losses
from trainables.data.prepare import PhotoRecord, parse_kind
from trainables.data.source import Source
from trainables.data.splitting import list_names

Records = dict[str, list[PhotoRecord]]
"""The records of the photographs of each part, in order."""


def write(
    path: Path, classes: Sequence[str], records: Records, groups: Mapping[str, np.ndarray]
) -> None:
    """Write a row per photograph; `row` is its row in the arrays of its part."""
    with path.open("w", encoding="utf-8", newline="", errors="surrogateescape") as file:
        table = csv.writer(file)
        table.writerow(("split", "row", "file", "class", "done", "why"))
        for part, found in records.items():
            name = part if len(records) > 1 else "all"
            row = 0
            for record in found:
                label = classes[record.label] if record.label >= 0 else ""
                why = "; ".join(record.notes)
                if record.dropped:
                    table.writerow((name, "", record.name, label, "dropped", why))
                    continue
                done = "converted" if record.notes else "kept"
                if groups[part][row] < 0:
                    done, why = "left out", "a copy is in validation or test"
                table.writerow((name, row, record.name, label, done, why))
                row += 1


def count_photo_losses(records: Records) -> Losses:
    """Return how many photographs cannot be used; other files do not count."""
    all_records = [record for found in records.values() for record in found]
    lost = [f"{r.name}: {'; '.join(r.notes)}" for r in all_records if r.is_lost]
    kept = sum(not record.dropped for record in all_records)
    return count_losses(kept + len(lost), lost)


def describe_dropped(records: Records, shown: int = 5) -> list[str]:
    """Return lines that name the first photographs that were dropped."""
    dropped = [record for found in records.values() for record in found if record.dropped]
    lines = [f"dropped: {record.name}: {'; '.join(record.notes)}" for record in dropped[:shown]]
    return lines + ([f"and {len(dropped) - shown} more"] if len(dropped) > shown else [])


def summarize(source: Source, classes: Sequence[str], records: Records) -> list[str]:
    """Return the statistics of a preparation as lines."""
    size = source.shape[1]
    all_records = [record for found in records.values() for record in found]
    kept = [record for record in all_records if not record.dropped]
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
            f"the classes are those of the data, not the {len(source.classes)} of {source.name}: "
            f"{list_names(classes)}"
        )
    for done, group in (
        ("converted", [record for record in kept if record.notes]),
        ("dropped", [record for record in all_records if record.dropped]),
    ):
        reasons = Counter(parse_kind(note) for record in group for note in record.notes)
        details = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        lines.append(f"{done}: {len(group):,}" + (f" ({details})" if details else ""))
    depths = Counter(n for r in kept for n in r.notes if parse_kind(n) == "bit depth")
    return lines + [f"{note} ({count:,} images)" for note, count in depths.items()]
