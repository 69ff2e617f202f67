"""Write to a run in requests that are within MLflow's limits (`mlflow.utils.validation`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from cluster.tracking.run_records import Point

LIMITS = {RunTag: 100, Param: 100, Metric: 1000}
"""Entries of one request, which has at most 1000 in all."""
MAX_BYTES = 900_000
"""Bytes of one request, of which MLflow accepts a million."""
Entry = RunTag | Param | Metric


@dataclass
class Batch:
    """The content of one request."""

    entries: dict[type[Entry], list[Entry]] = field(
        default_factory=lambda: {kind: [] for kind in LIMITS}
    )
    size: int = 0

    def accepts(self, kind: type[Entry], size: int) -> bool:
        """Return whether there is room for an entry of this many bytes."""
        number = sum(map(len, self.entries.values()))
        return (
            len(self.entries[kind]) < LIMITS[kind]
            and number < max(LIMITS.values())
            and (self.size + size <= MAX_BYTES or not number)
        )


def log_in_batches(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Write tags, params and points to a run, in this order."""
    for batch in _split(points, params, tags):
        client.log_batch(
            run_id,
            metrics=batch.entries[Metric],  # type: ignore[arg-type]
            params=batch.entries[Param],  # type: ignore[arg-type]
            tags=batch.entries[RunTag],  # type: ignore[arg-type]
        )


def _split(
    points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[Batch]:
    entries: list[tuple[Entry, int]] = [
        *((RunTag(*tag), _measure(*tag)) for tag in tags.items()),
        *((Param(*param), _measure(*param)) for param in params.items()),
        *((Metric(*point), _measure(point[0])) for point in points),
    ]
    batch = Batch()
    for entry, size in entries:
        if not batch.accepts(type(entry), size):
            yield batch
            batch = Batch()
        batch.entries[type(entry)].append(entry)
        batch.size += size
    yield batch


def _measure(*texts: str) -> int:
    return 150 + sum(len(json.dumps(text)) for text in texts)
