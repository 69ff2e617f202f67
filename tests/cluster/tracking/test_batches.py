"""Requests within MLflow's limits."""

from __future__ import annotations

import json
from typing import Any

from mlflow.utils.validation import (
    MAX_BATCH_LOG_REQUEST_SIZE,
    _validate_batch_log_limits,
)

from cluster.tracking.batches import log_in_batches


class RecordingClient:
    """A client that keeps what it is to write."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []

    def log_batch(self, run_id: str, **content: Any) -> None:
        _validate_batch_log_limits(**content)
        body = {kind: [dict(entry) for entry in entries] for kind, entries in content.items()}
        assert len(json.dumps(body)) < MAX_BATCH_LOG_REQUEST_SIZE
        self.requests.append(content)


def write(points: int, params: dict[str, str], tags: dict[str, str]) -> list[dict[str, Any]]:
    client: Any = RecordingClient()
    values = [(f"metric {n}", float(n), 1000, 1) for n in range(points)]
    log_in_batches(client, "run", values, params, tags)
    return list(client.requests)


def test_what_fits_is_one_request_and_so_is_nothing() -> None:
    assert len(write(900, {"width": "3"}, {"outcome": "complete"})) == 1
    assert len(write(0, {}, {})) == 1


def test_many_entries_and_long_ones_are_split_in_order() -> None:
    params = {f"p{n}": "\U0001f600" * 6000 for n in range(250)}
    tags = {f"t{n}": "x" for n in range(120)}
    requests = write(2500, params, tags)
    assert [m.key for request in requests for m in request["metrics"]] == [
        f"metric {n}" for n in range(2500)
    ]
    assert {p.key for request in requests for p in request["params"]} == params.keys()
    assert {t.key for request in requests for t in request["tags"]} == tags.keys()
    assert len(requests) < 40
