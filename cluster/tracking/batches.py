"""Write to a run in requests that are within MLflow's limits (`mlflow.utils.validation`)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from cluster.tracking.run_records import Point

MAX_TAGS, MAX_PARAMS, MAX_METRICS, MAX_ENTRIES = 100, 100, 1000, 1000
"""Entries of one request: of each kind, and all."""
MAX_BYTES = 900_000
"""Bytes of one request, of which MLflow accepts a million."""


@dataclass
class Batch:
    """The content of one request."""

    tags: list[RunTag] = field(default_factory=list)
    params: list[Param] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    size: int = 0

    def add(self, entry: RunTag | Param | Metric, size: int) -> bool:
        """Add an entry of this many bytes and return whether there was room for it."""
        number = len(self.tags) + len(self.params) + len(self.metrics)
        if number == MAX_ENTRIES or (number and self.size + size > MAX_BYTES):
            return False
        match entry:
            case RunTag() if len(self.tags) < MAX_TAGS:
                self.tags.append(entry)
            case Param() if len(self.params) < MAX_PARAMS:
                self.params.append(entry)
            case Metric() if len(self.metrics) < MAX_METRICS:
                self.metrics.append(entry)
            case _:
                return False
        self.size += size
        return True


def log_in_batches(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point],
    params: Mapping[str, str],
    tags: Mapping[str, str],
) -> None:
    """Write tags, params and points to a run, in this order."""
    for batch in _split(points, params, tags):
        client.log_batch(run_id, metrics=batch.metrics, params=batch.params, tags=batch.tags)


def _split(
    points: Sequence[Point], params: Mapping[str, str], tags: Mapping[str, str]
) -> Iterator[Batch]:
    entries: list[tuple[RunTag | Param | Metric, int]] = [
        *((RunTag(*tag), _measure(*tag)) for tag in tags.items()),
        *((Param(*param), _measure(*param)) for param in params.items()),
        *((Metric(*point), _measure(point[0])) for point in points),
    ]
    batch = Batch()
    for entry, size in entries:
        if not batch.add(entry, size):
            yield batch
            batch = Batch()
            batch.add(entry, size)
    yield batch


def _measure(*texts: str) -> int:
    return 150 + sum(len(json.dumps(text)) for text in texts)
