"""Where the trials of a search run: on Ray, or in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from rich.console import Console

from cluster.execution import inline
from cluster.execution.attempt import WorkerSettings
from cluster.execution.signals import is_main_thread
from cluster.execution.task_output import keep_console
from cluster.execution.trial_queue import TrialQueue
from cluster.options import Options
from searchspaces.space import SearchSpace
from trainables.collection import pause_collection
from trainables.errors import UserError
from trainables.run import Run


@dataclass(frozen=True)
class Executor:
    """Runs the attempts of a queue until none is left.

    `run` returns whether every trial has its outcome, and calls its last argument often.
    `worker.folder` is the storage until the search has a folder. `resources` are a trial's.
    """

    worker: WorkerSettings
    resources: Mapping[str, float]
    run: Callable[[TrialQueue, WorkerSettings, Callable[[], None]], bool]


@contextmanager
def prepare_executor(
    space: SearchSpace[Any],
    run: Run,
    fixed: Mapping[str, Any],
    options: Options,
    console: Console,
) -> Iterator[Executor]:
    """Prepare the executor that the user chose; raises UserError where it cannot be used."""
    if options.executor == "inline":
        check_thread(options)
        folder = options.storage.folder.resolve()
        with keep_console(console), inline.prepare_worker(space, folder, run) as worker:
            yield Executor(
                worker,
                {"cpu": float(worker.threads), "gpu": float(torch.cuda.is_available())},
                lambda queue, worker, on_step: inline.run(
                    queue, worker, options.concurrency or 1, on_step
                ),
            )
        return
    # Imported here: a search in this process starts without Ray.
    with pause_collection():
        from cluster.execution import ray_tuner
        from cluster.execution.prepare_cluster import prepare_cluster

    with prepare_cluster(space, run, fixed, options, console) as cluster:
        resources = cluster.resources
        yield Executor(
            cluster.worker,
            {"cpu": resources.cpus, "gpu": resources.gpus},
            lambda queue, worker, on_step: ray_tuner.run(queue, worker, resources, on_step),
        )


def check_thread(options: Options) -> None:
    """Raise UserError for a time limit outside of the main thread, where none ends a trial."""
    limits = {
        "--report-timeout": options.report_timeout,
        "--trial-timeout": options.trial_timeout,
    }
    if not is_main_thread() and (named := [name for name, value in limits.items() if value]):
        raise UserError(
            f"{named[0]} with the executor inline works by a signal, which only the main thread "
            "gets\nrun the search in the main thread, or with the executor ray"
        )
