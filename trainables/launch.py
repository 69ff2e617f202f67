"""Train in one process per GPU: `run.launch(function, *args)`, with `torch.distributed` set up.

The processes are on one machine. The first one, rank 0, saves checkpoints and makes the reports,
which the calling process passes on; the others end with it. Without GPUs there are as many
processes as the trial has CPUs, connected by gloo.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import Any

import torch

from trainables.errors import TaskError
from trainables.run import Run
from trainables.saved_run import copy_saved_run

PROCESSES_FACT = "processes"
"""Name of the fact that a trial runs in several processes: their number."""
PERIOD = 0.2
"""Seconds between two looks at what the processes do, and at whether to end."""
CLEANUP_LIMIT = 2.0
"""Seconds in which rank 0 must end once the trial is stopped."""


class RankError(RuntimeError):
    """Shows the traceback of a process, as the cause of the error that it has raised."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass
class Rank:
    """One of the processes, and the connection to it."""

    number: int
    process: subprocess.Popen[bytes]
    connection: Connection


def count_processes(resources: Mapping[str, float], device: torch.device) -> int:
    """Return the number of processes of a trial with these resources on this machine."""
    if device.type == "cuda":
        return max(1, min(torch.cuda.device_count(), int(resources.get("gpu", 1))))
    return max(1, int(resources.get("cpu", 1)))


def check_launched(run: Run) -> None:
    """Raise TaskError for a trial whose task leaves all of its GPUs idle but one."""
    if run.device.type == "cuda" and run.processes > 1 and PROCESSES_FACT not in run.facts:
        raise TaskError(
            f"the trial has {run.processes} GPUs, and its task uses one\n"
            'call run.launch, or declare resources={"gpu": 1} in the space'
        )


def launch(run: Run, function: Callable[..., Any], *args: Any) -> None:
    """Call `function(*args, run)` in `run.processes` processes, and wait until all have ended.

    `run.resume` restores the same checkpoint in all of them, with the random states of rank 0;
    every process calls `run.report`, and rank 0's metrics count. Raises what a process raises.
    """
    if function.__module__ == "__main__":
        raise TaskError(
            "run.launch was called with a function of a notebook or script\n"
            "other processes cannot import it: move it to a file of its own, and import it"
        )
    task = _pickle_task(function, args)
    run.parts.clear()  # rank 0 saves, and this process does not
    run.facts[PROCESSES_FACT] = run.processes
    with contextlib.ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tunery-ranks-")))
        ranks: list[Rank] = []
        stack.callback(_end, ranks)
        for number in range(run.processes):
            ranks.append(_start(number))
        for rank in ranks:
            with contextlib.suppress(BrokenPipeError):  # it has ended: `_pass_on` says why
                _send_task(rank, run, scratch, task)
        _pass_on(run, ranks)


def _pickle_task(function: Callable[..., Any], args: tuple[Any, ...]) -> list[bytes]:
    """Return the function and its arguments, pickled; raises TaskError for what cannot be."""
    task = []
    for number, value in enumerate((function, *args)):
        try:
            task.append(pickle.dumps(value))
        except Exception as error:
            name = f"argument {number} of its function" if number else "its function"
            raise TaskError(
                f"run.launch cannot send {name} to other processes: {error}\n"
                "pass what it is made from, and make it in the function"
            ) from error
    return task


def _start(number: int) -> Rank:
    here, there = Pipe()
    with there:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "trainables.rank", str(there.fileno()), str(os.getpid())],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            pass_fds=[there.fileno()],
            start_new_session=True,  # Ctrl-C and SIGTERM are passed on below
        )
    return Rank(number, process, here)


def _send_task(rank: Rank, run: Run, scratch: Path, task: list[bytes]) -> None:
    folder = run.folder
    if run.folder is not None and rank.number:  # rank 0 writes while the others read
        folder = scratch / str(rank.number)
        copy_saved_run(run.folder, folder)
    settings = {
        field.name: getattr(run, field.name)
        for field in fields(run)
        if field.init and field.name not in ("on_progress", "preempted")
    }
    settings["folder"] = folder
    if run.device.type == "cuda":
        settings["device"] = torch.device("cuda", rank.number)
    rank.connection.send((settings, rank.number, str(scratch / "store"), task))


def _pass_on(run: Run, ranks: list[Rank]) -> None:
    """Report what rank 0 reports, until every process has ended."""
    left = {rank.connection: rank for rank in ranks}
    handles_signals = was_signalled = False
    while left:
        for ready in wait(list(left), PERIOD):
            rank = left[ready]  # type: ignore[index]
            try:
                kind, content = rank.connection.recv()
            except (EOFError, ConnectionResetError):
                _check_exit(rank)
                del left[rank.connection]
                continue
            if kind == "ready":
                handles_signals = handles_signals or rank.number == 0
                continue
            if kind == "error":
                for other in ranks:
                    if (other.process.poll() or 0) < 0:  # killed: the others fail for lack of it
                        _check_exit(other)
                _raise(content)
            run.facts |= content[1]
            run.notes += content[2]
            run.report(content[0])
            rank.connection.send("go on")
        if handles_signals and run.preempted() and not was_signalled:
            was_signalled = True
            with contextlib.suppress(OSError):
                ranks[0].process.send_signal(signal.SIGTERM)


def _check_exit(rank: Rank) -> None:
    code = rank.process.wait()
    if code < 0:
        name = signal.Signals(-code).name
        raise RuntimeError(f"process {rank.number} of the task was ended by {name}")
    if code:
        raise RuntimeError(f"process {rank.number} of the task ended with exit code {code}")


def _raise(content: tuple[bytes, str]) -> None:
    error: BaseException = pickle.loads(content[0])
    raise error from RankError(content[1])


def _end(ranks: list[Rank]) -> None:
    """End all processes and those that they have started.

    Rank 0 ends by TrialStopped at its report, where it waits at one.
    """
    for rank in ranks:
        rank.connection.close()
    deadline = time.monotonic() + CLEANUP_LIMIT
    for rank in ranks:
        with contextlib.suppress(subprocess.TimeoutExpired):
            rank.process.wait(max(0.0, deadline - time.monotonic()) if rank.number == 0 else 0)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(rank.process.pid, signal.SIGKILL)
        rank.process.wait()
