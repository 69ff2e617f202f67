"""How many trials share a GPU: as many as its memory and its idle time allow."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import ray
import torch

from cluster.execution.attempt import WorkerSettings, build_worker_run
from searchspaces.loading import load_space
from searchspaces.overrides import build_config
from trainables.errors import UserError
from trainables.loop import start_loop
from trainables.run import seed_everything

HEADROOM = 0.9  # of the free memory, for what the measurement did not see
CONTEXT = 600 * 2**20  # bytes per process outside of PyTorch's allocator
SHARE = 0.2  # of a report, for the measurement
PATIENCE = 900.0  # seconds until a GPU is free: a new node is set up first


@dataclass(frozen=True)
class Load:
    """The load of one trial: bytes free without it, bytes at its peak, busy time in 0..1.

    `busy` is the fraction of the time in which one of its kernels runs.
    """

    free: int
    peak: int
    busy: float


def trials_per_gpu(load: Load, limit: int) -> int:
    """Return the number of trials on one GPU with the highest throughput, at most `limit`.

    Kernels of different processes take turns, so k trials are k times as fast as one until the
    GPU is always busy; more of them only use memory.
    """
    by_memory = int(HEADROOM * load.free / (load.peak + CONTEXT))
    by_time = math.ceil(1 / max(load.busy, 0.01) - 1e-9)
    return max(1, min(by_memory, by_time, limit))


def measure_gpu_fraction(
    settings: WorkerSettings, values: Mapping[str, Any], have: Mapping[str, float], cpus: float
) -> tuple[float, Load]:
    """Measure a configuration on a GPU of the cluster; return the fraction for each trial.

    `have` is the cluster's total of every resource, `cpus` that of one trial. Raises UserError
    where there is no GPU, none becomes free, or the measured trial fails or runs nothing on it.
    """
    if not have.get("GPU"):
        raise UserError(
            "--gpus-per-trial auto: Ray sees no GPU here to measure a trial on\n"
            "leave the option out to train on CPUs"
        )
    limit = max(1, int(have.get("CPU", 0.0) / max(have["GPU"], 1.0) / cpus))
    free = ray.remote(num_gpus=1, num_cpus=1)(_wait_for_gpu)
    probe = ray.remote(num_gpus=1, num_cpus=1, max_retries=0)(measure_load)
    try:
        ray.get(free.remote(), timeout=PATIENCE)
        load: Load = ray.get(probe.remote(settings, dict(values)))
    except ray.exceptions.GetTimeoutError as error:
        raise UserError(
            f"--gpus-per-trial auto: no GPU became free within {PATIENCE:g} s\n"
            "check `ray status`, or give a number, such as --gpus-per-trial 0.5"
        ) from error
    except ray.exceptions.RayError as error:
        raise UserError(
            f"--gpus-per-trial auto: the measured trial failed: {str(error).splitlines()[-1]}\n"
            "give a number, such as --gpus-per-trial 0.5"
        ) from error
    if not load.busy:
        raise UserError(
            "--gpus-per-trial auto: the measured trial ran nothing on the GPU\n"
            "give a number, such as --gpus-per-trial 0.5"
        )
    # Ray keeps fractions to four decimals; rounded down they still fit side by side.
    return math.floor(1e4 / trials_per_gpu(load, limit)) / 1e4, load


def _wait_for_gpu() -> None:
    """Do nothing: Ray runs this as soon as a GPU is free."""


def measure_load(settings: WorkerSettings, values: Mapping[str, Any]) -> Load:
    """Return the load of a configuration on this process's GPU, by the second of two reports."""
    from torch.profiler import ProfilerActivity, profile

    space = load_space(settings.space)
    torch.set_num_threads(settings.threads)
    run = build_worker_run(settings, torch.device("cuda"))
    run = replace(run, reports=max(2, run.reports), share=SHARE)
    seed_everything(0)
    torch.cuda.init()
    free, _ = torch.cuda.mem_get_info()
    loop = start_loop(space.train, build_config(space, values), run)
    for _ in itertools.islice(loop, 1):  # loads kernels, fills caches
        torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        started = time.perf_counter()
        for _ in itertools.islice(loop, 1):
            torch.cuda.synchronize()
        took = time.perf_counter() - started
    loop.close()
    kernels = sum(event.self_device_time_total for event in seen.key_averages()) / 1e6
    return Load(free, torch.cuda.max_memory_reserved(), min(1.0, kernels / took))
