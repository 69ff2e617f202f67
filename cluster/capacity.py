"""How large the cluster is, or can become: what trials are shared out over."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray

from trainables.errors import UserError

PLAN = Path("~/ray_bootstrap_config.yaml")  # where `ray up` leaves a head its own file, as JSON


def capacity(joined: bool) -> dict[str, float]:
    """Give what Ray has or, where a cluster was joined, can have: its autoscaler may rent more.

    Ray does not say how far its autoscaler may go. On a head made by `ray up` its file does;
    elsewhere the environment's TUNERY_CAPACITY, such as CPU=32,GPU=8. For a Ray of the search's
    own neither says anything: it has no autoscaler. Raises UserError for what is no number.
    """
    have = {name: float(amount) for name, amount in ray.cluster_resources().items()}
    for name, amount in (told() or planned()).items() if joined else ():
        have[name] = max(have.get(name, 0.0), amount)
    return have


def told() -> dict[str, float]:
    """Read TUNERY_CAPACITY."""
    text = os.environ.get("TUNERY_CAPACITY", "")
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    try:
        return {name.strip(): float(amount) for name, _, amount in pairs}
    except ValueError as error:
        raise UserError(f"TUNERY_CAPACITY={text} is not such as CPU=32,GPU=8") from error


def planned(file: Path = PLAN) -> dict[str, float]:
    """Read what the head's autoscaler may rent."""
    try:
        config = json.loads(file.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return rentable(config)


def rentable(config: Mapping[str, Any]) -> dict[str, float]:
    """Add up, for every resource, the machines richest in it, as many as the file allows."""
    kinds = [
        kind
        for name, kind in config.get("available_node_types", {}).items()
        if name != config.get("head_node_type")
    ]
    found: dict[str, float] = {}
    for resource in {name for kind in kinds for name in kind.get("resources", {})}:
        left = config.get("max_workers", 0)
        for kind in sorted(kinds, key=lambda kind: -kind.get("resources", {}).get(resource, 0)):
            count = min(left, kind.get("max_workers", left))
            amount = count * kind.get("resources", {}).get(resource, 0)
            found[resource] = found.get(resource, 0.0) + amount
            left -= count
    return found
