"""Connect to Ray and check its machines, before a search is created.

An error raised here leaves nothing behind: no folder, and no run in MLflow.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields
from typing import Any

from ray import cloudpickle
from rich.console import Console

from cluster.execution import gpu_sharing
from cluster.execution.attempt import WorkerSettings
from cluster.execution.connect import connect, warn_if_open
from cluster.execution.resources import Resources, allocate, cluster_capacity
from cluster.execution.signals import interrupt_when_asked_to_end
from cluster.execution.storage_check import check_nodes
from cluster.execution.teacher_source import upload_teacher
from cluster.options import Options
from cluster.storage.location import Location
from searchspaces.space import SearchSpace
from searchspaces.user_code import describe
from trainables.errors import UserError
from trainables.run import Run


@dataclass(frozen=True)
class PreparedCluster:
    """The settings of the workers, and the resources of a trial.

    `worker.folder` is the storage until the search has a folder.
    """

    worker: WorkerSettings
    resources: Resources


@contextmanager
def prepare_cluster(
    space: SearchSpace[Any],
    run: Run,
    fixed: Mapping[str, Any],
    options: Options,
    console: Console,
) -> Iterator[PreparedCluster]:
    """Connect to Ray for the length of the context; raises UserError for an unusable cluster."""
    check_picklable(space)
    folder, remote = options.storage.folder.resolve(), options.storage.remote
    joined = bool(options.address)
    with ExitStack() as stack:
        stack.enter_context(interrupt_when_asked_to_end())
        where = f"joining Ray at {options.address}" if joined else "starting Ray"
        console.print(f"{where} ...", highlight=False, markup=False, soft_wrap=True)
        stack.enter_context(connect(options.address))
        if options.address and (note := warn_if_open(options.address)):
            console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        check_nodes(folder, remote)
        teachers = (remote or Location(folder.as_uri())) / "teachers"
        if run.teacher:
            upload_teacher(run.teacher, teachers)
        worker = WorkerSettings(
            space=space.reference,
            folder=folder,
            run=run,
            teachers=teachers,
            threads=max(1, int(space.resources.get("cpu", 1))),
        )
        gpus = options.gpus_per_trial
        if gpus == "auto":
            gpus = _measure_gpu_fraction(worker, fixed, space.resources, joined, console)
        resources = allocate(dict(space.resources), gpus, options.concurrency, joined)
        yield PreparedCluster(worker, resources)


def check_picklable(space: SearchSpace[Any]) -> None:
    """Raise UserError where a space that is sent to the workers uses what cannot be sent."""
    for field in fields(space) if space.by_value else ():
        value = getattr(space, field.name)
        if (error := _find_pickle_error(value)) is None:
            continue
        known = inspect.getclosurevars(value) if inspect.isfunction(value) else None
        used = {**known.globals, **known.nonlocals} if known else {}
        culprits = [f"{name} = {of!r:.80}" for name, of in used.items() if _find_pickle_error(of)]
        raise UserError(
            f"{field.name} of {space.name} cannot be sent to the workers of Ray: "
            f"{', '.join(culprits) or f'{value!r:.80}'}: {describe(error)}\n"
            f"create that inside of {field.name}, or run the search in this process with "
            "executor='inline'"
        ) from error


def _find_pickle_error(value: Any) -> Exception | None:
    try:  # out of band: large arrays are not copied
        cloudpickle.dumps(value, protocol=5, buffer_callback=lambda _: None)
    except Exception as error:  # whatever an object's own methods raise
        return error
    return None


def _measure_gpu_fraction(
    worker: WorkerSettings,
    fixed: Mapping[str, Any],
    wanted: Mapping[str, float],
    joined: bool,
    console: Console,
) -> float:
    capacity = cluster_capacity(joined)
    if capacity.get("GPU"):
        console.print(
            "--gpus-per-trial auto: measuring a trial as soon as Ray has a free GPU; "
            f"the search ends after {gpu_sharing.PATIENCE / 60:.0f} minutes without one",
            highlight=False,
            soft_wrap=True,
        )
    gpus, load = gpu_sharing.measure_gpu_fraction(
        worker, fixed, capacity, float(wanted.get("cpu", 1)) or 1.0
    )
    console.print(
        f"a trial uses {load.peak / 2**30:.2f} of {load.free / 2**30:.2f} GiB and keeps the GPU "
        f"busy {load.busy:.0%} of the time: {1 / gpus:.0f} trials share it",
        highlight=False,
    )
    return gpus
