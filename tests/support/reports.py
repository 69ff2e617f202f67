"""Reports as a worker sends them to the driver."""

from __future__ import annotations

from typing import Any


def make_history(losses: list[float], seconds: float = 1.0) -> list[dict[str, Any]]:
    """Return one report per loss, each of which took `seconds` of device time."""
    return [
        {"report": n, "seconds": n * seconds, "metrics": {"loss": loss}}
        for n, loss in enumerate(losses, 1)
    ]


def make_result(*losses: float, seconds: float = 1.0) -> dict[str, Any]:
    """Return the result of a step that sends one report per loss."""
    return {"history": make_history(list(losses), seconds), "facts": {}, "place": "node/cpu"}
