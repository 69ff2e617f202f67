"""Signals that ask to end: they interrupt once, and end what a task forks as they end a script."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import pytest

from cluster.execution.signals import handle_here, interrupt_when_asked_to_end


@pytest.fixture(autouse=True)
def not_under_nohup() -> Iterator[None]:
    """Let SIGHUP have its default, whatever the tests were started with."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_once_however_often_it_is_sent(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interrupt_when_asked_to_end():
        with pytest.raises(KeyboardInterrupt), interrupt_when_asked_to_end():
            signal.raise_signal(number)
        signal.raise_signal(number)  # to the group: the search is already ending
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(number) == before
    with pytest.raises(KeyboardInterrupt), interrupt_when_asked_to_end():
        signal.raise_signal(number)


def test_a_search_under_nohup_outlives_its_terminal() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interrupt_when_asked_to_end():
            signal.raise_signal(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_a_background_job(number: signal.Signals) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as `command &` in a script
    try:
        with pytest.raises(KeyboardInterrupt), interrupt_when_asked_to_end():
            signal.raise_signal(number)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
        with pytest.raises(KeyboardInterrupt), interrupt_when_asked_to_end():
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # by something that the search calls
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_outside_of_the_main_thread_nothing_is_changed() -> None:
    handlers = []

    def look() -> None:
        with interrupt_when_asked_to_end():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]


def sleep_long(ready: Connection) -> None:
    ready.send(None)
    time.sleep(1000)


def terminate_child(is_ready: bool) -> int | None:
    """Fork a process, send it SIGTERM, at once or when it sleeps, and return its exit code."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe()
    child = context.Process(target=sleep_long, args=(sender,))
    child.start()
    if is_ready:
        receiver.recv()
    child.terminate()
    child.join()
    return child.exitcode


def test_forked_processes_end_by_sigterm_unless_the_task_handles_it() -> None:
    before = signal.getsignal(signal.SIGTERM)
    received: list[int] = []
    try:
        handle_here(signal.SIGTERM, lambda number, frame: received.append(number))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            assert pool.map(abs, [-1, 2]) == [1, 2]
        codes = {terminate_child(is_ready) for is_ready in [True] + [False] * 20}
        assert codes == {-signal.SIGTERM}
        os.kill(os.getpid(), signal.SIGTERM)
        assert received == [signal.SIGTERM]
        signal.signal(signal.SIGTERM, lambda number, frame: os._exit(7))  # the task's own
        assert terminate_child(is_ready=True) == 7
    finally:
        signal.signal(signal.SIGTERM, before)
