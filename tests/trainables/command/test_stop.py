"""The driver of a search is found by its lock, and asked to end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger.ledger import Ledger
from cluster.storage.location import Location
from cluster.storage.storage import Storage, open_storage
from trainables.command.stop import stop_search
from trainables.errors import UserError

PROGRAM = """
import signal, sys
from pathlib import Path
from cluster.ledger.ledger import acquire_lock
lock = acquire_lock(Path(sys.argv[1]))
print("locked", flush=True)
signal.pause()
"""


def test_the_process_that_holds_the_lock_gets_sigterm(
    write_search: Callable[..., Ledger], tmp_path: Path
) -> None:
    ledger = write_search(0.5)
    ledger.close()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(ledger.folder)], stdout=subprocess.PIPE
    ) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == b"locked\n"
        message = stop_search(open_storage(str(tmp_path)), "toy")
        assert f"process {driver.pid} was asked to end toy" in message
        assert driver.wait(20) == -15


def test_a_search_that_nobody_runs_is_told(
    write_search: Callable[..., Ledger], tmp_path: Path
) -> None:
    write_search(0.5).close()
    with pytest.raises(UserError, match="no process on this machine runs the search toy"):
        stop_search(open_storage(str(tmp_path)), "toy")


def test_the_lease_is_that_of_the_folder_and_may_be_unreadable(
    write_search: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        write_search(0.5).close()
    asked: list[str] = []

    def fail(location: Location, period: float) -> None:
        asked.append(str(location))
        raise OSError("no route to host")

    monkeypatch.setattr("trainables.command.stop.read_lease", fail)
    with pytest.raises(UserError, match=r"search toy-2, and its lease .* no route to host"):
        stop_search(Storage(tmp_path, Location("s3://bucket")), "toy")
    assert asked == ["s3://bucket/toy-2"]
