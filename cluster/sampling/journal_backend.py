"""Optuna's journal in a file that only one process uses: no lock, and few fsyncs.

Optuna's file backend syncs every single value to disk. Here the caller decides when: what a
power failure may lose is restored from the ledger beside it.
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
from trainables.integrity import decode_json

Log = dict[str, Any]


class Journal(BaseJournalBackend):
    """A file of logs, a line each; only its owner appends to it.

    Raises ValueError where the file is damaged, OSError where it cannot be written to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._unread: deque[Log] = deque()
        trial_log.truncate_partial_line(path)

    def read_logs(self, log_number_from: int) -> Iterator[Log]:
        """Yield the logs from this number on: new ones from memory, else all of the file."""
        if log_number_from == 0:
            self._unread.clear()
            if self.path.exists():
                yield from _read(self.path)
            return
        while self._unread:
            yield self._unread.popleft()

    def append_logs(self, logs: list[Log]) -> None:
        """Append logs, each completely or not at all."""
        for log in logs:
            trial_log.append_event(self.path, log)
            self._unread.append(json.loads(json.dumps(log)))  # as reading the file gives it

    def sync(self) -> None:
        """Sync the file to disk."""
        with self.path.open("rb") as lines:
            os.fsync(lines.fileno())


def _read(path: Path) -> Iterator[Log]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield decode_json(line)
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} is {line[:80]!r}") from error
