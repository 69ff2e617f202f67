"""Start a task: a generator as it is, a plain function on a thread that waits at each report.

The thread runs only while the driver waits for its next report. So a report is the same moment as
a `yield`: nothing trains while it is saved, and the global random states are those of the task.
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from queue import Empty, SimpleQueue
from typing import Any

from trainables.errors import TaskError, TrialStopped
from trainables.launch import launch
from trainables.metrics import describe_value
from trainables.run import Loop, Run

Report = tuple[Any]
"""What a function has passed to `run.report`, whatever it is."""
SIGNAL_PERIOD = 0.2
"""Seconds after which a signal is handled that came just before the driver's thread waited.

Python runs handlers between instructions and on a wait that the signal interrupts, not in a wait
that has begun after it.
"""
INTERRUPT_LIMIT = 3.0
"""Seconds in which a function must answer an interrupt; one that does not is left behind."""


def start_loop(train: Callable[[Any, Run], Any], config: Any, run: Run) -> Loop:
    """Return the reports of a task as a generator; closing it ends the task.

    A plain function starts with the first report. It is ended by TrialStopped, raised at its
    `run.report`. Raises TaskError, with the first report, for a function that makes none.
    """
    run.launch = functools.partial(launch, run)
    if inspect.isgeneratorfunction(train):
        run.hand_over = _reject_report
        loop: Loop = train(config, run)
        return loop
    return _drive(train, config, run)


def end_loop(loop: Loop) -> None:
    """Let a plain function that has made its last report return, and close the loop.

    A generator is left where it is: what it keeps open may be needed for its predictions.
    """
    if getattr(loop, "gi_code", None) is _drive.__code__ and not inspect.isgenerator(
        getattr(loop, "gi_yieldfrom", None)
    ):
        next(loop, None)
        loop.close()


@contextlib.contextmanager
def end_forked_children() -> Iterator[None]:
    """End a process that a task has forked in this context, where it leaves the task's code.

    It would go on as a second driver or worker: record results, and run other trials.
    """
    parent = os.getpid()
    try:
        yield
    except BaseException as error:
        if os.getpid() != parent:
            _end_child(error)
        raise
    if os.getpid() != parent:
        _end_child(None)


def _end_child(error: BaseException | None) -> None:
    """End this process with the exit code that its own program would have."""
    code = 0
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
        code = 1
    with contextlib.suppress(Exception):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def _reject_report(metrics: Any) -> None:
    raise TaskError("a generator has called run.report\nyield the metrics, or yield nothing")


def _drive(train: Callable[[Any, Run], Any], config: Any, run: Run) -> Loop:
    def call() -> Any:
        with end_forked_children():
            return train(config, run)

    thread = FunctionThread(call)
    run.hand_over = thread.hand_over
    run.restore_progress()
    silent = not run.done
    try:
        while (report := thread.resume()) is not None:
            silent = False
            yield report[0]
    finally:
        thread.stop()
    if isinstance(thread.returned, Generator):
        run.hand_over = _reject_report
        yield from thread.returned
    elif silent:
        raise TaskError(
            f"train returned {describe_value(thread.returned)} and made no report\n"
            "call run.report with a dict of metrics, or yield it, after every report"
        )


class FunctionThread:
    """Runs a function from one report to the next: `hand_over` is called with each.

    A thread of its own, since neither Ray nor a debugger can switch between stacks on one thread;
    the driver's thread, which gets the signals, passes Ctrl-C on.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self.returned: Any = None
        self._function = function
        self._error: BaseException | None = None
        self._reports: SimpleQueue[Report | None] = SimpleQueue()
        self._turns: SimpleQueue[None] = SimpleQueue()
        self._waits = self._stopped = False
        self._process = os.getpid()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._run,), name="tunery-task", daemon=True
        )

    def resume(self) -> Report | None:
        """Return the next report, None where the function has returned; raises what it raises."""
        interrupted = False
        try:
            self._give_turn()
            report = self._wait_for_report()
        except KeyboardInterrupt:
            interrupted = True
            report = self._interrupt()
        self._waits = report is not None
        if report is None:
            self._thread.join()
        if self._error is not None:
            error, self._error = self._error, None
            if interrupted:  # a library may answer it with any error
                raise KeyboardInterrupt from error
            raise error
        return report

    def stop(self) -> None:
        """End the function: by TrialStopped at its report, or wherever it is."""
        self._stopped = True
        if self._waits:
            self._turns.put(None)
            self._thread.join()
        elif self._thread.is_alive():
            self._raise_in_thread(TrialStopped)
            self._thread.join(INTERRUPT_LIMIT)

    def hand_over(self, metrics: Mapping[str, Any]) -> None:
        """Pass a report to the driver and wait; raises TrialStopped where the trial has ended."""
        if os.getpid() != self._process:
            raise TaskError(
                "run.report was called in a process that the task has started\n"
                "call it in the process that runs `train`"
            )
        if not self._stopped:
            self._reports.put((metrics,))
            self._turns.get()
        if self._stopped:
            raise TrialStopped("the trial ends at this report")

    def _run(self) -> None:
        try:
            self.returned = self._function()
        except BaseException as error:
            if not self._stopped:  # after that, its errors change nothing any more
                self._error = error
        self._reports.put(None)

    def _give_turn(self) -> None:
        if self._waits:
            self._turns.put(None)
            self._waits = False
        else:
            self._thread.start()

    def _wait_for_report(self) -> Report | None:
        while True:
            with contextlib.suppress(Empty):
                return self._reports.get(timeout=SIGNAL_PERIOD)

    def _interrupt(self) -> Report | None:
        """Pass Ctrl-C on, and return the report that the function makes nevertheless."""
        if not self._waits:
            self._raise_in_thread(KeyboardInterrupt)
            with contextlib.suppress(Empty):
                return self._reports.get(timeout=INTERRUPT_LIMIT)
        raise KeyboardInterrupt

    def _raise_in_thread(self, error: type[BaseException]) -> None:
        """Raise an error in the thread, at the next instruction of Python that it executes."""
        if self._thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self._thread.ident), ctypes.py_object(error)
            )
