"""Ask the process that runs a search to end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from cluster.ledger.driver import find_driver
from cluster.storage.lease import read_lease
from cluster.storage.redaction import first_line
from cluster.storage.searches import find_folder
from cluster.storage.storage import Storage
from trainables.errors import UserError


def stop_search(storage: Storage, name: str) -> str:
    """Send SIGTERM to the driver of a search and return what happens now; raises UserError."""
    folder = find_folder(storage, name)
    process = find_driver(folder)
    if process is None:
        other = _find_other(storage, folder)
        raise UserError(f"no process on this machine runs the search {folder.name}{other}")
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        return f"process {process} has just ended by itself"
    except PermissionError:
        raise UserError(
            f"process {process}, which runs {folder.name}, is another user's: ask them to end it"
        ) from None
    return (
        f"process {process} was asked to end {folder.name}: it stops its trials, keeps their "
        "reports, and ends\ntunery searches shows the command that continues it"
    )


def _find_other(storage: Storage, folder: Path) -> str:
    """Return where the driver may be instead."""
    if storage.remote is not None:
        try:
            lease = read_lease(storage.remote / folder.name, 0.0)
        except OSError as error:
            return f", and its lease cannot be read: {first_line(error)}"
        return f": {lease.where} does; end it there" if lease else ", and none has its lease"
    return "\nwhere another machine shares the folder and runs it, end it there"
