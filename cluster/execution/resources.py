"""How large the cluster is or can become, and what each trial gets of it."""

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
    """Return Ray's resources or, on a joined cluster, the most that its autoscaler may reach.

    Ray does not report the limits of its autoscaler. On a head started by `ray up` they are in
    its cluster file; elsewhere in the variable TUNERY_CAPACITY, such as CPU=32,GPU=8. A Ray that
    the search started itself has no autoscaler. Raises UserError for a value that is no number.
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
        raise UserError(f"TUNERY_CAPACITY={text} is not of the form CPU=32,GPU=8") from error


def read_autoscaler_limits(file: Path = BOOTSTRAP_CONFIG) -> dict[str, float]:
    """Return the limits in the cluster file that `ray up` leaves on the head."""
    try:
        config = json.loads(file.expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return sum_autoscaler_limits(config)


def sum_autoscaler_limits(config: Mapping[str, Any]) -> dict[str, float]:
    """Return, for each resource, the sum over the node types richest in it, up to max_workers."""
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
    """The resources of a trial, and the limit of concurrent trials (None: as many as fit).

    `joined` is True on a cluster that was already running, which may grow.
    """

    cpus: float
    gpus: float
    concurrency: int | None
    joined: bool


def allocate(
    wanted: dict[str, float], gpus: float | None, concurrency: int | None, joined: bool
) -> Resources:
    """Return what each trial gets on this cluster; raises UserError where it does not fit.

    A trial gets one GPU, or the requested fraction, where there are any and the space wants one.
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
    if gpus > have.get("GPU", 0.0):
        raise UserError(
            f"a trial needs {gpus:g} GPUs, but Ray has {have.get('GPU', 0.0):g}\n"
            "use a larger machine, or lower --gpus-per-trial or `resources` in the space"
        )
    if cpus > have.get("CPU", 0.0):
        raise UserError(
            f"a trial needs {cpus:g} CPUs, but Ray has {have.get('CPU', 0.0):g}\n"
            "use a larger machine, or lower `resources` in the space"
        )
    return Resources(cpus, gpus, concurrency, joined)


def max_concurrency(resources: Resources) -> int:
    """Return how many trials may run at once, on nodes that exist or can be started."""
    have = cluster_capacity(resources.joined)
    fits = int(have.get("CPU", 0.0) / resources.cpus) if resources.cpus else 10_000
    if resources.gpus:
        fits = min(fits, int(have.get("GPU", 0.0) / resources.gpus + 1e-9))
    return max(1, min(resources.concurrency or fits, fits))


def bundle_resources(resources: Resources, exclusive: bool) -> tune.PlacementGroupFactory:
    """Return what Ray reserves for an attempt: its share, or a whole node for an exclusive one."""
    cpus, gpus = resources.cpus, resources.gpus
    if exclusive:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        nodes = [node for node in nodes if node.get("GPU", 0) or not gpus]
        # No trial runs on a head without CPUs.
        fit = [node["CPU"] for node in nodes if node.get("CPU", 0) >= max(cpus, 1)]
        cpus = min(fit, default=cpus)
        gpus = max(1.0, gpus) if gpus else 0.0
    return tune.PlacementGroupFactory([{"CPU": cpus, **({"GPU": gpus} if gpus else {})}])
