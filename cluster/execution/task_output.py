"""Keep what a task prints: in a file of the attempt, instead of on the terminal.

Everything that writes to standard output or standard error is kept: `print`, warnings, logging,
progress bars, libraries in C and processes that the task starts. What a crash prints last is in
the file, too.
"""

from __future__ import annotations

import bdb
import contextlib
import ctypes
import os
import pdb
import re
import sys
import threading
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import IO, Any, cast

from rich.console import Console

from cluster.storage.redaction import redact
from trainables.terminal import SharedStream

FIRST, LAST = 50_000, 200_000
"""Bytes of an output that are kept where it is longer: its first and its last ones."""
PERIOD = 1.0
"""Seconds between two looks at an output that grows: a report may take hours."""
SHOWN = 2000
"""Characters at the end of an output that the failure of a trial shows."""
CUT = "\n[... {:,} bytes are cut out here ...]\n"
ESCAPES = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
"""Colours, cursor movements and titles for a terminal."""
OVERWRITTEN = re.compile(rb"^[^\n]*\r(?=[^\r\n])", re.MULTILINE)
"""All states of a progress bar in a line but the last."""

_debugger_callbacks: list[Callable[[], None]] = []
_debugging = False


def is_debugging() -> bool:
    """Return whether a debugger has this process, and needs its terminal."""
    tracer = getattr(sys.gettrace(), "__self__", None)
    if _debugging or isinstance(tracer, bdb.Bdb):
        return True
    # The debugger of VS Code and PyCharm; Jupyter imports it in every kernel.
    pydevd: Any = sys.modules.get("pydevd")
    debugger = pydevd and pydevd.get_global_debugger()
    return debugger is not None and bool(debugger.is_attached())


class TaskOutput:
    """The output of an attempt; `capture` writes to its file in a context, as often as needed.

    With `interactive`, `breakpoint()` gets the terminal back, and nothing is kept from then on.
    """

    def __init__(self, path: Path, interactive: bool = False) -> None:
        self.path = path
        self._interactive = interactive
        self._streams = {1: _Stream(), 2: _Stream()}
        self._lock = threading.Lock()
        self._tidied, self._first, self._cut = 0, b"", 0

    @contextlib.contextmanager
    def capture(self) -> Iterator[None]:
        """Write to the file what is printed in this context."""
        if is_debugging():
            yield
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._watch())
            file = stack.enter_context(self.path.open("ab", buffering=0))
            redirection = stack.enter_context(self._redirect(file.fileno()))
            if self._interactive:
                stack.enter_context(_release_for_debugger(redirection.close))
            yield

    def close(self) -> None:
        """Delete the file if nothing was printed."""
        with contextlib.suppress(OSError):
            if not self.path.stat().st_size:
                self.path.unlink()

    @contextlib.contextmanager
    def _redirect(self, file: int) -> Iterator[contextlib.ExitStack]:
        """Redirect both streams to a file; closing what is yielded ends that early."""
        with contextlib.ExitStack() as restore:
            _flush()
            for number in (1, 2):
                saved = os.dup(number)
                restore.callback(os.close, saved)
                restore.callback(_restore_descriptor, saved, number, file)
                os.dup2(file, number)
            restore.callback(_flush)
            for number, name in ((1, "stdout"), (2, "stderr")):
                before = getattr(sys, name)
                restore.callback(setattr, sys, name, before)
                self._streams[number].enter(before, number, restore)
                setattr(sys, name, self._streams[number])
            yield restore

    @contextlib.contextmanager
    def _watch(self) -> Iterator[None]:
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(PERIOD):
                self._tidy()

        threading.Thread(target=watch, name="task-output", daemon=True).start()
        parent = os.getpid()
        try:
            yield
        finally:
            if os.getpid() == parent:  # a process that the task has forked leaves it alone
                ended.set()
                self._tidy()

    def _tidy(self) -> None:
        """Tidy the new output, the last line again where it was unfinished, and shorten the whole.

        Others append meanwhile: what comes between reading and writing may be lost.
        """
        with self._lock, contextlib.suppress(OSError), self.path.open("a+b", buffering=0) as file:
            if file.seek(0, os.SEEK_END) > 2 * (FIRST + LAST):  # not at every line: it copies all
                self._shorten(file)
            file.seek(self._tidied)
            new = file.read()
            clean = tidy_text(new)
            if clean != new:
                file.truncate(self._tidied)
                file.write(clean)
            self._tidied += clean.rfind(b"\n") + 1

    def _shorten(self, file: FileIO) -> None:
        size = file.seek(0, os.SEEK_END)
        if self._first:
            start = len(self._first) + len(CUT.format(self._cut))
        else:
            file.seek(0)
            self._first, start = tidy_text(file.read(FIRST)), FIRST
        file.seek(size - LAST)
        last = tidy_text(file.read(LAST))
        self._cut += size - LAST - start
        kept = self._first + CUT.format(self._cut).encode() + last
        file.truncate(0)
        file.write(kept)
        self._tidied = kept.rfind(b"\n") + 1


class _Stream(SharedStream):
    """Standard output or error as a task sees it, in all contexts of an attempt.

    A logging handler or a progress bar that has got it writes to the right place for good.
    """

    def __init__(self) -> None:
        super().__init__(None)

    def enter(self, stream: Any, number: int, restore: contextlib.ExitStack) -> None:
        """Write to a descriptor until `restore` is closed, and to `stream` afterwards."""
        self._stream = stream
        if _find_descriptor(stream) != number:  # as in a notebook
            own = open(number, "w", 1, "utf-8", "backslashreplace", closefd=False)  # noqa: SIM115
            self._stream = own
            restore.callback(setattr, self, "_stream", stream)
            restore.callback(own.flush)


class _Terminal(SharedStream):
    """Writes to a terminal until that is gone."""

    def write(self, text: str) -> int:
        """Write a text."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Write out what is buffered."""
        with contextlib.suppress(OSError):
            self._stream.flush()


@contextlib.contextmanager
def keep_console(console: Console) -> Iterator[None]:
    """Let a console write in this context to where standard output is now, even while captured."""
    if console.file is not sys.stdout:  # a file of its own
        yield
        return
    stream: Any = sys.stdout
    if _find_descriptor(stream) != 1:
        console.file = stream
        yield
        return
    stream.flush()
    own = open(os.dup(1), "w", encoding=stream.encoding, errors="backslashreplace")  # noqa: PTH123, SIM115
    console.file = cast("IO[str]", _Terminal(own))
    try:
        yield
    finally:
        console.file = stream
        with contextlib.suppress(OSError):
            own.close()


def _restore_descriptor(saved: int, number: int, file: int) -> None:
    """Undo a redirection to a file, unless the descriptor was redirected again meanwhile.

    After SIGHUP, for one, it leads nowhere: the terminal is gone.
    """
    if os.path.sameopenfile(number, file):
        os.dup2(saved, number)


def _find_descriptor(stream: Any) -> int | None:
    try:
        return int(stream.fileno())
    except (AttributeError, OSError, ValueError):
        return None


def tidy_text(text: bytes) -> bytes:
    """Return what a terminal shows in the end: without escapes and overwritten progress bars.

    Credentials are hidden. A line is only overwritten as a whole, which is how progress bars do
    it.
    """
    text = OVERWRITTEN.sub(b"", ESCAPES.sub(b"", text.replace(b"\r\n", b"\n")))
    return redact(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")


def read_end(path: Path, longest: int = SHOWN) -> str:
    """Return the end of an output, from the start of a line on; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4 * longest))
            text = tidy_text(file.read()).decode("utf-8", "replace").strip()
    except OSError:
        return ""
    return text if len(text) <= longest else text[-longest:].partition("\n")[2]


@contextlib.contextmanager
def _release_for_debugger(release: Callable[[], None]) -> Iterator[None]:
    """Let `breakpoint()` in this context end the redirection for good, and open its debugger."""
    before = sys.breakpointhook

    def open_debugger(*words: Any, **named: Any) -> Any:
        global _debugging
        _debugging = True
        release()
        for function in _debugger_callbacks:
            function()
        if before is sys.__breakpointhook__ and not os.environ.get("PYTHONBREAKPOINT"):
            pdb.Pdb().set_trace(sys._getframe(1))  # stops in the task, and not here
            return None
        return before(*words, **named)

    sys.breakpointhook = open_debugger
    try:
        yield
    finally:
        sys.breakpointhook = before


@contextlib.contextmanager
def on_debugger(function: Callable[[], None]) -> Iterator[None]:
    """Call a function, in this context, before a debugger gets the terminal."""
    _debugger_callbacks.append(function)
    try:
        yield
    finally:
        _debugger_callbacks.remove(function)


def _flush() -> None:
    """Write out what Python and C have buffered."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):  # a task may have closed or replaced it
            stream.flush()
    ctypes.CDLL(None).fflush(None)
