"""Find the process that runs a search, by the lock that it holds on the search's folder."""

from __future__ import annotations

from pathlib import Path

from cluster.ledger.files import RERUNS

LOCK = ".lock"
"""File of a search's folder that its driver locks."""
LOCKS = Path("/proc/locks")


def find_driver(folder: Path) -> int | None:
    """Return the process on this machine that runs a search, None where there is none.

    Linux lists who holds which lock; the lock is not touched, since a driver that starts meanwhile
    would find it taken. A driver on another machine is not found.
    """
    holders = (_find_holder(lock) for lock in (folder / LOCK, folder / RERUNS / LOCK))
    return next(filter(None, holders), None)


def _find_holder(lock: Path) -> int | None:
    try:
        inode = lock.stat().st_ino
        lines = LOCKS.read_text().splitlines()
    except OSError:  # nothing has run there, or this is not Linux
        return None
    for line in lines:
        fields = line.split()  # 1: FLOCK ADVISORY WRITE 4711 08:01:131073 0 EOF
        if len(fields) == 8 and fields[1] == "FLOCK" and fields[5].endswith(f":{inode}"):
            process = int(fields[4])
            if _has_open(process, lock):
                return process
    return None


def _has_open(process: int, file: Path) -> bool:
    # Files of two file systems may have the same inode number.
    try:
        opened = [path.resolve() for path in Path(f"/proc/{process}/fd").iterdir()]
    except PermissionError:  # somebody else's
        return True
    except OSError:  # it has ended
        return False
    return file.resolve() in opened
