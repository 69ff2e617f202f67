"""Print any text on any terminal, and keep printing whatever a task does to the streams."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TextIO

from trainables.errors import INTERRUPTED

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys, such as the start of a colour; not tabs and ends of lines."""


def run_main(main: Callable[[], int]) -> NoReturn:
    """Run the main function of a command and exit with its code.

    Ctrl-C while it imports what it needs shows no traceback.
    """
    escape_output()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ninterrupted; give the same command again", file=sys.stderr)
        sys.exit(INTERRUPTED)


def escape_control(text: str) -> str:
    """Return text whose control characters are shown, and not obeyed."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def print_text(
    text: object, file: TextIO | None = None, end: str = "\n", flush: bool = False
) -> None:
    """Print a text that holds what is not Tunery's own, such as names and messages of errors."""
    print(escape_control(str(text)), file=file, end=end, flush=flush)


def escape_output() -> None:
    """Let standard output and error escape characters that their encoding lacks.

    In the C locale, or with PYTHONIOENCODING=ascii, printing one would raise UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def announce(text: str) -> None:
    """Print what is being loaded, on a terminal only: imports take seconds and show nothing."""
    if sys.stderr.isatty():
        print_text(f"{text} ...", sys.stderr, flush=True)


class SharedStream:
    """Writes to a stream that others use, too: closing or detaching it closes nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has by that name."""
        return getattr(self._stream, name)

    @property
    def buffer(self) -> SharedStream:
        """Return the binary stream below, shared as well."""
        return SharedStream(self._stream.buffer)

    def close(self) -> None:
        """Write out what was printed."""
        self._stream.flush()

    def detach(self) -> SharedStream:
        """Return the binary stream below."""
        self.close()
        return self.buffer


@contextlib.contextmanager
def share_streams() -> Iterator[None]:
    """Let a task in this context replace or close standard output and error for itself only."""
    streams = sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__
    shared: Any = [stream and SharedStream(stream) for stream in streams]
    sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = shared  # type: ignore[misc]
    try:
        with _restore_descriptors():
            yield
    finally:
        sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__ = streams  # type: ignore[misc]


@contextlib.contextmanager
def _restore_descriptors() -> Iterator[None]:
    """Open the descriptors 1 and 2 again that are closed or replaced in this context."""
    kept = {number: os.dup(number) for number in (1, 2) if _is_open(number)}
    try:
        yield
    finally:
        for number, copy in kept.items():
            if not _is_open(number) or not os.path.sameopenfile(number, copy):
                os.dup2(copy, number)
            os.close(copy)


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
