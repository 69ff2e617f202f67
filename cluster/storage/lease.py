"""A driver's sign of life on remote storage, where no lock can be held.

`SEARCH/driver/sign.json` says who drives the search, and changes as long as it is driven. The
clocks of two machines are never compared: a driver is gone when another saw no change for long.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import uuid
from dataclasses import asdict, dataclass
from time import monotonic, sleep

from cluster.storage import replication
from cluster.storage.location import Location, read_bytes, write_bytes
from trainables.errors import UserError

BEATS = 4
"""A driver is gone when so many of its signs are missing."""


@dataclass(frozen=True)
class Lease:
    """Whose search it is, where its driver runs, and how often, in seconds, `beat` changes."""

    owner: str
    where: str
    every: float
    beat: str


class LeaseHolder:
    """Gives signs of life on a thread of its own, until another driver takes the search over."""

    def __init__(self, place: Location, owner: str, every: float) -> None:
        self.place = place
        self.owner = owner
        self.every = every
        self.lost: UserError | None = None
        """Why this driver must end: another one has the search."""
        self._beating = threading.Lock()
        self._ending = threading.Event()

    def start(self) -> None:
        """Begin to beat; `claim` comes before."""
        threading.Thread(target=self._work, name="heartbeat", daemon=True).start()

    def beat(self) -> None:
        """Give a sign, or learn that the search is another's now; raises OSError."""
        with self._beating:
            found = read_lease(self.place, self.every)
            if found is None or found.owner in ("", self.owner):
                write_lease(self.place, self.owner, self.every)
                return
        self.lost = UserError(
            f"another driver, {found.where}, goes on with this search ({self.place}): "
            "this one has ended\nfollow that one, or, when it has ended, give the same command "
            "with --resume"
        )

    def close(self) -> None:
        """Let others have the search at once."""
        self._ending.set()
        with self._beating, contextlib.suppress(OSError):
            found = read_lease(self.place, self.every)
            if found is not None and found.owner == self.owner:
                replication.delete(self.place / "driver")

    def _work(self) -> None:
        while not self._ending.wait(self.every):
            with contextlib.suppress(Exception):  # a storage that is away stops nothing
                self.beat()


def acquire_lease(place: Location, owner: str, every: float) -> None:
    """Take a search, as soon as the last signs of another's driver are old.

    Raises UserError where that driver lives, OSError where the storage cannot be used.
    """
    found = read_lease(place, every)
    if found is not None and found.owner != owner:
        patience = BEATS * found.every
        print(
            f"{place} was driven by {found.where}\nwaiting {patience:.0f} s, "
            "in which that driver would give a sign of life",
            flush=True,
        )
        deadline = monotonic() + patience
        while monotonic() < deadline:
            sleep(found.every / 10)
            now = read_lease(place, every)
            if now is None:  # it has ended
                break
            if now != found:
                raise UserError(
                    f"another driver, {now.where}, is running the search {place}\n"
                    f"wait for it, or end it there: {patience:.0f} s after its last sign of life "
                    "the same command goes on here"
                )
    write_lease(place, owner, every)


def read_lease(place: Location, every: float) -> Lease | None:
    """Read the sign that lies there, if any; half of one has the owner "". Raises OSError."""
    text = read_bytes(place / "driver", "sign.json")
    if text is None:
        return None
    try:
        told = json.loads(text)
        return Lease(told["owner"], told["where"], float(told["every"]), told["beat"])
    except (ValueError, KeyError, TypeError):
        return Lease("", "of which nothing is known", every, "")


def write_lease(place: Location, owner: str, every: float) -> None:
    """Write a new sign over the old one; raises OSError."""
    where = f"process {os.getpid()} on {platform.node()}"
    text = json.dumps(asdict(Lease(owner, where, every, uuid.uuid4().hex)))
    write_bytes(place / "driver", "sign.json", text.encode())
