"""Print any text on any terminal, and keep printing whatever a task does to the streams."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterator
from typing import Any


def escape_output() -> None:
    """Let standard output and error escape characters that their encoding lacks.

    In the C locale, or with PYTHONIOENCODING=ascii, printing one would raise UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def announce(text: str) -> None:
    """Say on a terminal what is being waited for: imports take seconds and print nothing."""
    if sys.stderr.isatty():
        print(f"{text} ...", file=sys.stderr, flush=True)


class LentStream:
    """Writes to a stream that others use, too: closing or detaching it closes nothing."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        """Return what the stream has by that name."""
        return getattr(self._stream, name)

    @property
    def buffer(self) -> LentStream:
        """Return the binary stream below, lent as well."""
        return LentStream(self._stream.buffer)

    def close(self) -> None:
        """Write out what was printed."""
        self._stream.flush()

    def detach(self) -> LentStream:
        """Return the binary stream below."""
        self.close()
        return self.buffer


@contextlib.contextmanager
def lend_streams() -> Iterator[None]:
    """Let a task in this context replace or close standard output and error for itself only."""
    streams = sys.stdout, sys.stderr
    lent: Any = [stream and LentStream(stream) for stream in streams]
    sys.stdout, sys.stderr = lent
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
