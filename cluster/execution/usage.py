"""What a trial uses of its machine, under MLflow's names of system metrics.

MLflow's own monitor would need MLflow, and a connection to it, in every worker, and measures the
whole machine. Here a thread samples, the driver records and writes: `report_points`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil
import torch

PERIOD = 10.0
"""Seconds between two samples, as in MLflow; a sample takes milliseconds."""
FIRST = 0.5
"""Seconds until the first look, which costs shorter trials nothing, and then until a sample."""


class UsageMonitor:
    """Samples what this process, those that it has started, and its machine use, until `close`.

    `gpus` is the number of the trial's GPUs, which are the first ones that the process sees.
    """

    def __init__(self, gpus: int = 0) -> None:
        self.gpus = gpus
        self._samples: list[dict[str, float]] = []
        self._ended = threading.Event()
        threading.Thread(target=self._work, name="usage-monitor", daemon=True).start()

    def take(self) -> dict[str, float]:
        """Return the mean of each value since the last call; empty where there was no sample."""
        samples, self._samples = self._samples, []
        names = dict.fromkeys(name for sample in samples for name in sample)
        values = {name: [s[name] for s in samples if name in s] for name in names}
        return {name: round(sum(found) / len(found), 1) for name, found in values.items()}

    def close(self) -> None:
        """Take no more samples."""
        self._ended.set()

    def _work(self) -> None:
        if self._ended.wait(FIRST):
            return
        psutil.cpu_percent()  # which compares with the call before, in the same thread
        began, (spent, _) = time.monotonic(), measure_processes()
        pause = FIRST
        while not self._ended.wait(pause):
            now, (total, memory) = time.monotonic(), measure_processes()
            share = 100 * max(0.0, total - spent) / (now - began)
            began, spent, pause = now, total, PERIOD
            self._samples.append(
                {
                    "process_cpu_utilization_percentage": share,
                    "process_memory_usage_megabytes": memory / 1e6,
                    **measure_machine(),
                    **measure_gpus(self.gpus),
                }
            )


def measure_processes() -> tuple[float, float]:
    """Return the CPU seconds so far, and the bytes of memory, of this process and its descendants.

    100 % of CPU time is one core. Memory that processes share counts in each of them.
    """
    own = psutil.Process()
    seconds = memory = 0.0
    for process in (own, *own.children(recursive=True)):
        with suppress(psutil.Error), process.oneshot():  # one that has ended meanwhile
            times = process.cpu_times()
            # Those of children include what the children that have ended had spent.
            seconds += times.user + times.system + times.children_user + times.children_system
            memory += process.memory_info().rss
    return seconds, memory


def measure_machine() -> dict[str, float]:
    """Return the usage of this machine by all of its processes; 100 % of CPU is all cores."""
    memory = psutil.virtual_memory()
    return {
        "cpu_utilization_percentage": psutil.cpu_percent(),
        "system_memory_usage_megabytes": memory.used / 1e6,
        "system_memory_usage_percentage": 100 * memory.used / memory.total,
    }


def measure_gpus(count: int) -> dict[str, float]:
    """Return the usage of the first GPUs that this process sees, by all of their processes.

    What a GPU or its driver does not tell is left out: a part of one (MIG) has no utilization.
    """
    cuda, usage = torch.cuda, dict[str, float]()
    values: Sequence[tuple[str, Callable[[int], float], float]] = (
        ("utilization_percentage", cuda.utilization, 1),
        ("memory_usage_megabytes", cuda.device_memory_used, 1e6),
        ("power_usage_watts", cuda.power_draw, 1e3),
    )
    for gpu in range(count):
        for name, measure, unit in values:
            with suppress(Exception):
                usage[f"gpu_{gpu}_{name}"] = measure(gpu) / unit
    return usage
