"""Print any text on any terminal: characters that it cannot show are escaped."""

from __future__ import annotations

import io
import sys


def escape_output() -> None:
    """Let standard output and error escape characters that their encoding lacks.

    In the C locale, or with PYTHONIOENCODING=ascii, printing one would raise UnicodeEncodeError.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
