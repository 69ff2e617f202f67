"""Has Ray up and asks its machines for all that a search needs, before the search is begun.

What is refused here leaves nothing behind: no folder, and no run in MLflow.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from rich.console import Console

from cluster.execution import connect, gpu_sharing, storage_check, teacher_source
from cluster.execution.resources import Resources, allocate, cluster_capacity
from cluster.execution.trainable import WorkerSettings
from cluster.options import Options
from cluster.storage.location import Location
from searchspaces.space import SearchSpace
from trainables.run import Run


@contextmanager
def prepare_cluster(
    space: SearchSpace[Any],
    run: Run,
    chosen: Options,
    fixed: Mapping[str, Any],
    storage: Path,
    console: Console,
) -> Iterator[PreparedCluster]:
    """Have Ray up inside the context, on machines that can do what is asked; else UserError."""
    storage, joined = storage.resolve(), bool(chosen.address)
    before = signal.getsignal(signal.SIGTERM)
    try:
        connect.connect(chosen.address)
        # Of Ray's own handler a driver dies at once; Tune knows how to end at a SIGINT.
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
        if chosen.address and (note := connect.warn_if_open(chosen.address)):
            console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        storage_check.check_nodes(storage, chosen.remote)
        lesson = (chosen.remote or Location(storage.as_uri())) / "teachers"
        if run.teacher:
            teacher_source.upload_teacher(run.teacher, lesson)
        worker = WorkerSettings(
            space=space.file or space.name,
            folder=storage,
            cache=run.cache.resolve(),
            reports=run.reports,
            data=run.data,
            source=run.source,
            weights=run.weights,
            teacher=run.teacher,
            taught_from=lesson,
            threads=max(1, int(space.resources.get("cpu", 1))),
        )
        wanted = dict(space.resources)
        gpus = chosen.gpus
        if gpus == "auto":
            gpus = _measured(worker, fixed, wanted, joined, console)
        yield PreparedCluster(worker, allocate(wanted, gpus, chosen.concurrency, joined))
    finally:
        if ray.is_initialized():
            ray.shutdown()
        signal.signal(signal.SIGTERM, before)


def _measured(
    worker: WorkerSettings,
    fixed: Mapping[str, Any],
    wanted: Mapping[str, float],
    joined: bool,
    console: Console,
) -> float:
    """Probe the default configuration on a GPU, say what was found, and give the share."""
    have = cluster_capacity(joined)
    if have.get("GPU"):
        console.print(
            "--gpus-per-trial auto: measuring a trial, as soon as Ray has a free GPU for it; "
            f"after {gpu_sharing.PATIENCE / 60:.0f} minutes without one the search ends",
            highlight=False,
            soft_wrap=True,
        )
    gpus, load = gpu_sharing.measure_gpu_fraction(
        worker, fixed, have, float(wanted.get("cpu", 1)) or 1.0
    )
    console.print(
        f"a trial takes {load.peak / 2**30:.2f} of {load.free / 2**30:.2f} GiB and keeps the GPU "
        f"busy {load.busy:.0%} of the time: {1 / gpus:.0f} trials share it",
        highlight=False,
    )
    return gpus


@dataclass(frozen=True)
class PreparedCluster:
    """What Ray's machines are ready for: what workers are told, and what a trial gets.

    Until a search is begun, `worker.folder` is the storage.
    """

    worker: WorkerSettings
    resources: Resources
