"""Run a search in this process, without Ray: for small searches, debugging and tests.

The trials have the numbers that they have in a Ray worker: a trial's own global random state is
in place while it runs, and the driver's otherwise. With several concurrent trials, each makes one
report in turn.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from cluster.execution.attempt import AttemptRunner, WorkerSettings
from cluster.execution.failures import AttemptError
from cluster.execution.signals import interrupt_when_asked_to_end, is_main_thread
from cluster.execution.task_settings import read_settings, restore_settings
from cluster.execution.trial_queue import Attempt, TrialQueue, recording
from searchspaces.space import SearchSpace
from trainables import checkpoint
from trainables.errors import INTERRUPTED
from trainables.run import Run
from trainables.terminal import share_streams

INSIST = 1.0
"""Seconds after which a second SIGINT ends the search wherever it is."""
PATIENCE = 10.0
"""Seconds in which a task must end that is interrupted; then its process ends."""

UNENDING = (
    "the task does not end: it catches every interrupt{where}\n"
    "use `except Exception` there in place of `except` or `except BaseException`\n"
    "this process ends now; continue with the same command and --resume"
)


class TimeIsUpError(BaseException):
    """A report takes longer than it may; no `except Exception` of a task keeps it."""


class Interruption:
    """Turns SIGINT into KeyboardInterrupt while a task runs, and only remembers it otherwise.

    So an event of the ledger is never interrupted. A batch system may send a signal twice. A time
    limit interrupts a task in the same way, by SIGALRM, and again every second: it ends what hangs
    in Python, in `sleep` or in a lock, but no call of C that never returns. A task that catches
    every interrupt for `PATIENCE` ends this process: nothing recorded is lost.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._first = math.inf
        self._in_task = False
        self._limit_reached = math.inf
        self._terminal: int | None = None
        """The error stream: a task's output takes its descriptor while it runs."""

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Handle SIGINT and SIGALRM in this context; outside of the main thread, neither comes."""
        if not is_main_thread():
            yield
            return
        with suppress(OSError):  # it may be closed
            self._terminal = os.dup(2)
        before = signal.signal(signal.SIGINT, self._on_sigint)
        alarm = signal.signal(signal.SIGALRM, self._on_alarm)
        try:
            yield
        finally:
            signal.signal(signal.SIGALRM, alarm)
            signal.signal(signal.SIGINT, before)
            if self._terminal is not None:
                os.close(self._terminal)

    @contextmanager
    def in_task(self, seconds: float | None = None) -> Iterator[None]:
        """Let SIGINT raise KeyboardInterrupt in this context, and a limit TimeIsUpError."""
        self._in_task = True
        try:
            if self.interrupted:
                raise KeyboardInterrupt
            if seconds is not None and is_main_thread():
                signal.setitimer(signal.ITIMER_REAL, max(seconds, 0.001), INSIST)
            yield
        finally:
            self._in_task = False
            self._limit_reached = math.inf
            if is_main_thread():
                signal.setitimer(signal.ITIMER_REAL, 0)

    def _on_alarm(self, number: int, frame: FrameType | None) -> None:
        if not self._in_task:
            return
        now = time.monotonic()
        self._limit_reached = min(self._limit_reached, now)
        if now > min(self._first, self._limit_reached) + PATIENCE:
            end_process(frame, self._terminal)
        raise KeyboardInterrupt if self.interrupted else TimeIsUpError

    def _on_sigint(self, number: int, frame: FrameType | None) -> None:
        self.interrupted = True
        now = time.monotonic()
        self._first = min(self._first, now)
        if self._in_task:
            left = self._first + PATIENCE - now
            if left <= 0:
                end_process(frame, self._terminal)
            signal.setitimer(signal.ITIMER_REAL, left + 0.1, INSIST)
            raise KeyboardInterrupt
        if now > self._first + INSIST:
            raise KeyboardInterrupt


def end_process(frame: FrameType | None, terminal: int | None) -> None:
    """End this process and those that its task has started, and say where the task is.

    `terminal` is a descriptor of the error stream.
    """
    where = ""
    while frame is not None and frame.f_code is not AttemptRunner._make_report.__code__:
        where = f" ({frame.f_code.co_filename}, line {frame.f_lineno})"
        frame = frame.f_back
    if terminal is not None:
        with suppress(OSError):
            cursor = "\x1b[?25h" if os.isatty(terminal) else ""
            os.write(terminal, f"{cursor}\n{UNENDING.format(where=where)}\n".encode())
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(INTERRUPTED)


class Slot:
    """Runs one attempt at a time, with a random state and a working directory of its own."""

    def __init__(self, worker: WorkerSettings) -> None:
        gpus = [0] if torch.cuda.is_available() else []
        self.runner = AttemptRunner(worker, gpus, interactive=True)
        self.attempt: Attempt | None = None
        self._random, self._settings = checkpoint.capture({}), read_settings()
        self._directory = os.open(".", os.O_RDONLY)

    def begin(self, attempt: Attempt) -> None:
        """Start an attempt; its first report comes with the first step."""
        self.attempt = attempt
        os.close(self._directory)
        self._directory = os.open(".", os.O_RDONLY)
        self.runner.begin(attempt.to_config())

    def step(self, interruption: Interruption, seconds: float | None) -> dict[str, Any]:
        """Make one report; raises AttemptError for any failure.

        So does one that takes longer than so many seconds.
        """
        with self._own_state(), share_streams():
            return self.runner.step(interruption.in_task(seconds))

    def close(self) -> None:
        """End the attempt."""
        self.attempt = None
        with self._own_state(), share_streams():
            self.runner.close()

    def release(self) -> None:
        """End the attempt, if one runs, and take no other."""
        self.close()
        os.close(self._directory)

    @contextmanager
    def _own_state(self) -> Iterator[None]:
        # A descriptor of a directory, since a task may delete the one that it works in.
        outside, directory = checkpoint.capture({}), os.open(".", os.O_RDONLY)
        settings = read_settings()
        checkpoint.restore(self._random, {})
        restore_settings(self._settings)
        os.fchdir(self._directory)
        os.close(self._directory)
        try:
            yield
        finally:
            self._directory = os.open(".", os.O_RDONLY)
            os.fchdir(directory)
            os.close(directory)
            self._random, self._settings = checkpoint.capture({}), read_settings()
            checkpoint.restore(outside, {})
            restore_settings(settings)


@contextmanager
def prepare_worker(space: SearchSpace[Any], folder: Path, run: Run) -> Iterator[WorkerSettings]:
    """Yield the settings of the trials; in this context, SIGTERM interrupts as SIGINT does."""
    with interrupt_when_asked_to_end():
        yield WorkerSettings(
            space=space.reference,
            folder=folder,
            run=run,
            threads=max(1, int(space.resources.get("cpu", 1))),
        )


def run(
    queue: TrialQueue, worker: WorkerSettings, concurrency: int, on_step: Callable[[], None]
) -> bool:
    """Run attempts until none is left; return whether every trial has its outcome.

    SIGINT ends the search in the middle of a report; a resumed search continues after the last
    recorded one. Raises UserError where the storage fails or the space has no feasible
    configuration.
    """
    interruption, slots = Interruption(), [Slot(worker) for _ in range(concurrency)]
    threads = torch.get_num_threads()
    with ExitStack() as stack:
        stack.enter_context(interruption.installed())
        stack.callback(torch.set_num_threads, threads)
        for slot in slots:
            stack.callback(slot.release)
        while not (interruption.interrupted or queue.must_end):
            _start_attempts(queue, slots, concurrency)
            if not queue.running:
                break
            on_step()  # the first report may take long
            for slot in _list_active(slots):
                _make_report(queue, slot, interruption)
                on_step()
                if interruption.interrupted or queue.must_end:
                    break
        if queue.must_end and queue.storage_error is None and not interruption.interrupted:
            with recording(queue):
                queue.end_running()
    if error := queue.storage_error or queue.stop_error:
        raise error
    return queue.ledger.finished


def _start_attempts(queue: TrialQueue, slots: list[Slot], concurrency: int) -> None:
    for slot in slots:
        if slot.attempt is None and queue.has_room(concurrency):
            attempt = queue.start_attempt()
            if attempt is not None:
                queue.record_start(attempt.trial)
                slot.begin(attempt)


def _list_active(slots: list[Slot]) -> list[Slot]:
    """Return the slots whose attempts run now; an exclusive one waits for the others to end."""
    busy = [slot for slot in slots if slot.attempt is not None]
    shared = [slot for slot in busy if slot.attempt and not slot.attempt.exclusive]
    return shared or busy


def _make_report(queue: TrialQueue, slot: Slot, interruption: Interruption) -> None:
    assert slot.attempt is not None
    trial = slot.attempt.trial
    try:
        result = slot.step(interruption, queue.find_seconds_left(trial))
    except KeyboardInterrupt:
        interruption.interrupted = True
        return
    except AttemptError as error:
        timeout = queue.find_timeouts().get(trial)
        slot.close()
        if timeout is None and queue.must_end:  # the time budget, of which the driver takes care
            return
        with recording(queue):
            queue.record_failure(trial, timeout or error.failure)
        return
    with recording(queue):
        stops = queue.record_result(trial, result)
        if "outcome" in result or stops:
            slot.close()
            queue.record_end(trial, result.get("outcome"))
