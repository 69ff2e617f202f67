"""Check, before anything runs, that every node of the cluster can use the storage."""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.storage import replication
from cluster.storage.location import Location
from trainables.errors import UserError

PATIENCE = 120.0
"""Seconds that a node may take to start a worker."""


def check_nodes(folder: Path, remote: Location | None) -> None:
    """Check the storage on every node, where there are several; raises UserError for the first.

    With `remote`, nodes must be able to write and read there, else they must see the driver's
    folder and be able to write to it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    probe = folder / f".seen-{uuid.uuid4().hex[:12]}"
    try:
        if remote is None:
            probe.write_text(probe.name, encoding="utf-8")
        checks = {node["NodeID"]: _start_check(node, probe, remote) for node in nodes}
        for node in nodes:
            name = node.get("NodeName") or node["NodeManagerAddress"]
            try:
                problem = ray.get(checks[node["NodeID"]], timeout=PATIENCE)
            except ray.exceptions.RayError as error:
                problem = f"it does not answer ({type(error).__name__})"
                if _is_gone(node, error):
                    continue
            if problem:
                raise UserError(
                    f"the node {name} cannot use the storage {remote or folder}: {problem}\n"
                    + (
                        "give it access to that storage, by its role or its credentials"
                        if remote
                        else "use a folder that all nodes mount (NFS), or "
                        "--storage s3://BUCKET/PREFIX"
                    )
                )
    finally:
        with contextlib.suppress(OSError):
            probe.unlink()


def check_node(probe: Path, remote: Location | None) -> str:
    """Return why this node cannot use the storage; an empty text where it can."""
    try:
        if remote is not None:
            replication.check_access(remote)
        elif not probe.is_file() or probe.read_text(encoding="utf-8") != probe.name:
            return "it does not see what the driver writes there"
        else:
            own = probe.with_name(f"{probe.name}-{uuid.uuid4().hex[:12]}")
            own.touch()
            own.unlink()
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _is_gone(node: dict[str, Any], error: Exception) -> bool:
    """Return whether a node was lost since it was listed, which does not concern the storage."""
    alive = {other["NodeID"] for other in ray.nodes() if other["Alive"]}
    unplaced = isinstance(error, ray.exceptions.TaskUnschedulableError)
    return unplaced or node["NodeID"] not in alive


def _start_check(node: dict[str, Any], probe: Path, remote: Location | None) -> Any:
    on_node = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=on_node)(check_node)
    return task.remote(probe, remote)
