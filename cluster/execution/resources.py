"""How large the cluster is, or can become: what trials are shared out over."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray import tune

from trainables.errors import UserError

BOOTSTRAP_CONFIG = Path(
    "~/ray_bootstrap_config.yaml"
)  # where `ray up` leaves a head its own file, as JSON


def cluster_capacity(joined: bool) -> dict[str, float]:
    """Give what Ray has or, where a cluster was joined, can have: its autoscaler may rent more.

    Ray does not say how far its autoscaler may go. On a head made by `ray up` its file does;
    elsewhere the environment's TUNERY_CAPACITY, such as CPU=32,GPU=8. For a Ray of the search's
    own neither says anything: it has no autoscaler. Raises UserError for what is no number.
    """
    have = {name: float(amount) for name, amount in ray.cluster_resources().items()}
    for name, amount in (
        (read_capacity_variable() or read_autoscaler_limits()).items() if joined else ()
    ):
        have[name] = max(have.get(name, 0.0), amount)
    return have


def read_capacity_variable() -> dict[str, float]:
    """Read TUNERY_CAPACITY."""
    text = os.environ.get("TUNERY_CAPACITY", "")
    pairs = (pair.partition("=") for pair in text.split(",") if pair.strip())
    try:
        return {name.strip(): float(amount) for name, _, amount in pairs}
    except ValueError as error:
        raise UserError(f"TUNERY_CAPACITY={text} is not such as CPU=32,GPU=8") from error


def read_autoscaler_limits(file: Path = BOOTSTRAP_CONFIG) -> dict[str, float]:
    """Read what the head's autoscaler may rent."""
    try:
        config = json.loads(file.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return sum_autoscaler_limits(config)


def sum_autoscaler_limits(config: Mapping[str, Any]) -> dict[str, float]:
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


@dataclass(frozen=True)
class Resources:
    """What a trial takes, and how many may run at once; None: as many as there is room for.

    `joined`: on a cluster that others have started, which may grow.
    """

    cpus: float
    gpus: float
    concurrency: int | None
    joined: bool


def allocate(
    wanted: dict[str, float], gpus: float | None, concurrency: int | None, joined: bool
) -> Resources:
    """Decide what each trial gets on the cluster at hand.

    A trial takes one GPU, or the share asked for, where there are any and the space wants one.
    """
    have = cluster_capacity(joined)
    cpus = wanted.get("cpu", 1.0)
    if gpus is None:
        gpus = wanted.get("gpu", 1.0) if have.get("GPU", 0.0) else 0.0
    if gpus and not have.get("GPU"):
        raise UserError(
            f"--gpus-per-trial {gpus:g}: Ray sees no GPU here\n"
            "leave the option out to train on CPUs"
        )
    if cpus > have.get("CPU", 0.0):
        raise UserError(f"a trial wants {cpus:g} CPUs, and Ray has {have.get('CPU', 0.0):g}")
    return Resources(cpus, gpus, concurrency, joined)


def max_concurrency(resources: Resources) -> int:
    """Count the trials that may run at once, on machines that are there or can be rented."""
    have = cluster_capacity(resources.joined)
    fits = int(have.get("CPU", 0.0) / resources.cpus) if resources.cpus else 10_000
    if resources.gpus:
        fits = min(fits, int(have.get("GPU", 0.0) / resources.gpus + 1e-9))
    return max(1, min(resources.concurrency or fits, fits))


def _bundle(resources: Resources, alone: bool) -> tune.PlacementGroupFactory:
    cpus, gpus = resources.cpus, resources.gpus
    if alone:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        nodes = [node for node in nodes if node.get("GPU", 0) or not gpus]
        # A head without CPUs is none that trials run on.
        fit = [node["CPU"] for node in nodes if node.get("CPU", 0) >= max(cpus, 1)]
        cpus = min(fit, default=cpus)
        gpus = max(1.0, gpus) if gpus else 0.0
    return tune.PlacementGroupFactory([{"CPU": cpus, **({"GPU": gpus} if gpus else {})}])
