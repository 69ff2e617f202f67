"""Optuna's journal in a file that one process has to itself: no lock, and few waits for the disk.

Optuna's own file backend waits until every single value has reached the disk. Here its owner says
when: what a crash of the machine may take, the ledger beside it can tell again.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend

from cluster.ledger import trial_log

Log = dict[str, Any]


class Journal(BaseJournalBackend):
    """A file of logs, a line each; only its owner appends to it.

    Raises ValueError where the file is damaged, OSError where it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fresh: deque[Log] = deque()
        trial_log.truncate_partial_line(path)

    def read_logs(self, log_number_from: int) -> Iterator[Log]:
        """Give the logs from this number on: from memory those just written, else the file's."""
        if log_number_from == 0:
            self._fresh.clear()
            if self.path.exists():
                yield from _read(self.path)
            return
        while self._fresh:
            yield self._fresh.popleft()

    def append_logs(self, logs: list[Log]) -> None:
        """Write logs down, each whole or not at all."""
        for log in logs:
            trial_log.append_event(self.path, log)
            self._fresh.append(json.loads(json.dumps(log)))  # as the file would give it

    def sync(self) -> None:
        """Wait until all that was written has reached the disk."""
        with self.path.open("rb") as lines:
            os.fsync(lines.fileno())


def _read(path: Path) -> Iterator[Log]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield dict(json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} is {line[:80]!r}") from error
