"""The time of the events of a search: it orders them, whatever the clock of the machine does."""

from __future__ import annotations

import time
from collections.abc import Callable

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""A clock that nobody sets; where there is one, it also runs while the machine sleeps."""


def start_clock(after: float = 0.0) -> Callable[[], float]:
    """Return a clock of seconds since 1970 that starts no earlier than `after`, and never steps.

    A machine's own clock is set forward and back, by its user or over the network. Early stopping
    evaluates the reports of a resumed search in the order of their times.
    """
    offset = max(time.time(), after) - time.clock_gettime(_ELAPSED)
    return lambda: offset + time.clock_gettime(_ELAPSED)
