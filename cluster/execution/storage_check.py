"""Checks, before anything runs, that every machine of the cluster has the storage it is to use."""

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
"""Seconds that a machine may take to start a worker."""


def check_nodes(folder: Path, remote: Location | None) -> None:
    """Have every machine look, where there are several; raises UserError naming the first blind.

    With `remote` machines must be able to write and read there, else they must see the driver's
    folder and be able to write to it.
    """
    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) < 2:
        return
    sign = folder / f".seen-{uuid.uuid4().hex[:12]}"
    try:
        if remote is None:
            sign.write_text(sign.name, encoding="utf-8")
        asked = {node["NodeID"]: _asked(node, sign, remote) for node in nodes}
        for node in nodes:
            name = node.get("NodeName") or node["NodeManagerAddress"]
            try:
                trouble = ray.get(asked[node["NodeID"]], timeout=PATIENCE)
            except ray.exceptions.RayError as error:
                trouble = f"it does not answer ({type(error).__name__})"
                if _is_gone(node, error):
                    continue
            if trouble:
                raise UserError(
                    f"the machine {name} cannot use the storage {remote or folder}: {trouble}\n"
                    + (
                        "let it reach that storage, by its role or its credentials"
                        if remote
                        else "give a folder that all machines mount (NFS), or "
                        "--storage s3://BUCKET/PREFIX"
                    )
                )
    finally:
        with contextlib.suppress(OSError):
            sign.unlink()


def check_node(sign: Path, remote: Location | None) -> str:
    """Say what keeps this machine from using the storage; nothing where all is well."""
    try:
        if remote is not None:
            replication.check_access(remote)
        elif not sign.is_file() or sign.read_text(encoding="utf-8") != sign.name:
            return "it does not see what the driver writes there"
        else:
            own = sign.with_name(f"{sign.name}-{uuid.uuid4().hex[:12]}")
            own.touch()
            own.unlink()
    except (OSError, ValueError) as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return ""


def _is_gone(node: dict[str, Any], error: Exception) -> bool:
    """Tell whether a machine was lost since it was listed, which is no matter of the storage."""
    alive = {other["NodeID"] for other in ray.nodes() if other["Alive"]}
    unplaced = isinstance(error, ray.exceptions.TaskUnschedulableError)
    return unplaced or node["NodeID"] not in alive


def _asked(node: dict[str, Any], sign: Path, remote: Location | None) -> Any:
    there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task = ray.remote(num_cpus=0, max_retries=0, scheduling_strategy=there)(check_node)
    return task.remote(sign, remote)
