"""One of the processes of `run.launch`: it ends with the process that has started it.

Rank 0 saves checkpoints, writes predictions and makes the reports.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from typing import Any

import torch
from torch import distributed

from trainables.errors import PreemptedError, TrialStopped
from trainables.run import Run

DIES_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""


def main(descriptor: int, parent: int) -> None:
    """Run one process of `run.launch`."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIES_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        return
    connection = Connection(descriptor)
    preempted: list[int] = []
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: preempted.append(number))
    connection.send(("ready", None))
    try:
        settings, number, store, task = connection.recv()
        function, *args = map(pickle.loads, task)
        run = Run(**settings, preempted=lambda: bool(preempted))
        run.hand_over = functools.partial(_report, run, connection if number == 0 else None)
        with _connect_ranks(run, number, store):
            function(*args, run)
            if number == 0:
                run.finish()
    except TrialStopped:
        return
    except BaseException as error:
        with contextlib.suppress(OSError):
            connection.send(("error", (_pickle(error), traceback.format_exc().strip())))
        os._exit(0)  # at once: what waits for another process would wait for long


def _report(run: Run, connection: Connection | None, metrics: Mapping[str, Any]) -> None:
    if connection is None:
        run.folder = None  # a copy, and rank 0 saves
    numbers = run.record(metrics)
    if connection is not None:
        notes, run.notes = run.notes, []
        try:
            connection.send(("report", (numbers, run.facts, notes)))
            connection.recv()
        except (EOFError, OSError):
            raise TrialStopped("the trial ends at this report") from None


@contextlib.contextmanager
def _connect_ranks(run: Run, number: int, store: str) -> Iterator[None]:
    on_gpu = run.device.type == "cuda"
    if on_gpu:
        torch.cuda.set_device(run.device)
    else:
        torch.set_num_threads(1)
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo" if sys.platform == "linux" else "lo0")
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=f"file://{store}",
        rank=number,
        world_size=run.processes,
    )
    yield
    distributed.destroy_process_group()


def _pickle(error: BaseException) -> bytes:
    try:
        content = pickle.dumps(error)
        pickle.loads(content)
        return content
    except Exception:
        kind = PreemptedError if isinstance(error, PreemptedError) else RuntimeError
        return pickle.dumps(kind(f"{type(error).__name__}: {error}"))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
