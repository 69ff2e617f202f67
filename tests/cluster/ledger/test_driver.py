"""Who runs a search is read from the locks of the machine, without touching them."""

from __future__ import annotations

import os
from pathlib import Path

from cluster.ledger.driver import LOCK, find_driver
from cluster.ledger.ledger import acquire_lock


def test_the_process_with_the_lock_is_the_driver(tmp_path: Path) -> None:
    assert find_driver(tmp_path) is None
    lock = acquire_lock(tmp_path)
    assert find_driver(tmp_path) == os.getpid()
    lock.release()
    assert find_driver(tmp_path) is None


def test_a_driver_that_confirms_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "confirm").mkdir()
    lock = acquire_lock(tmp_path / "confirm")
    assert find_driver(tmp_path) == os.getpid()
    lock.release()


def test_a_lock_of_another_file_is_none_of_the_search(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    lock = acquire_lock(other)
    (tmp_path / LOCK).touch()
    assert find_driver(tmp_path) is None
    lock.release()
