"""Signals that ask a process to end: for the driver, for workers and for what a task starts."""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from trainables.terminal import discard_output

ENDING = (signal.SIGTERM, signal.SIGHUP)
"""What batch systems, `timeout` and containers send, and a terminal that closes."""

STREAMS = (1, 2)
"""Standard output and standard error."""

Handler = Callable[[int, FrameType | None], Any]

_installed: dict[int, Handler] = {}
_active = threading.Lock()


@contextmanager
def interrupt_when_asked_to_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt this process as SIGINT does, once, in this context.

    `timeout` and batch systems send a signal to the process and again to its group: the second one
    must not cut short what the first one begins. After SIGHUP nothing is written to the terminal,
    which is gone; it stays ignored where `nohup` ignores it. SIGINT itself interrupts in this
    context even where a shell without job control ignores it for `command &`. An inner context,
    and one outside of the main thread, changes nothing.
    """
    before = {number: signal.getsignal(number) for number in (*ENDING, signal.SIGINT)}
    if not is_main_thread() or _active.locked():
        yield
        return
    received: list[int] = []
    terminals = [file for file in STREAMS if os.isatty(file)]

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if number == signal.SIGHUP:
            discard_output(terminals)
        if len(received) == 1:
            if _is_unhandled(signal.SIGINT):
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)

    with _active:
        for number in ENDING:
            if before[number] != signal.SIG_IGN:
                handle_here(number, interrupt)
        if _is_unhandled(signal.SIGINT):
            signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            yield
        finally:
            for number, handler in before.items():
                if handler is not None:  # one that C code has installed cannot be restored
                    signal.signal(number, handler)


def is_main_thread() -> bool:
    """Return whether this is the main thread, the only one that may handle signals."""
    return threading.current_thread() is threading.main_thread()


def _is_unhandled(number: int) -> bool:
    """Return whether a signal is ignored, or its handler is none of Python's."""
    return signal.getsignal(number) in (signal.SIG_IGN, None)


def handle_here(number: int, handler: Handler) -> None:
    """Handle a signal in this process, and not in those that it forks.

    A forked process inherits the handlers of its parent. With one that does not end the process,
    `multiprocessing.Pool` waits forever for its processes.
    """
    _reset_in_children()
    _installed[number] = handler
    signal.signal(number, handler)


@functools.cache
def _reset_in_children() -> None:
    """Reset our handlers in every forked process; a signal that comes too early waits for that."""
    masks = threading.local()

    def block() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)

    def unblock() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def reset() -> None:
        for number, handler in _installed.items():
            if signal.getsignal(number) == handler:  # and not one that the task has installed
                signal.signal(number, signal.SIG_DFL)
        unblock()

    os.register_at_fork(before=block, after_in_parent=unblock, after_in_child=reset)
