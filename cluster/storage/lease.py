"""A driver's lease on remote storage, where no lock can be held.

`SEARCH/driver/lease.json` names the driver of a search, which renews it while it runs. The clocks
of two machines are never compared: a lease expires when another driver sees no change for long.
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
from trainables.integrity import decode_json
from trainables.terminal import print_text

MISSED_RENEWALS = 4
"""A lease expires after so many missed renewals."""


@dataclass(frozen=True)
class Lease:
    """The owner of a search and where it runs; `renewal` changes every `period` seconds."""

    owner: str
    where: str
    period: float
    renewal: str


class LeaseHolder:
    """Renews a lease on a thread of its own, until another driver takes the search over."""

    def __init__(self, location: Location, owner: str, period: float) -> None:
        self.location = location
        self.owner = owner
        self.period = period
        self.lost: UserError | None = None
        """Why this driver must end: another one runs the search."""
        self._renewing = threading.Lock()
        self._ending = threading.Event()

    def start(self) -> None:
        """Start the thread; call `acquire_lease` before."""
        threading.Thread(target=self._work, name="lease", daemon=True).start()

    def renew(self) -> None:
        """Renew the lease, or find out that another driver has it; raises OSError."""
        with self._renewing:
            found = read_lease(self.location, self.period)
            if found is None or found.owner in ("", self.owner):
                write_lease(self.location, self.owner, self.period)
                return
        self.lost = UserError(
            f"another driver, {found.where}, now runs this search ({self.location}): "
            "this driver has ended\nwait for that one, then continue with the same command and "
            "--resume"
        )

    def close(self) -> None:
        """Delete the lease, so that others need not wait for it to expire."""
        self._ending.set()
        with self._renewing, contextlib.suppress(OSError):
            found = read_lease(self.location, self.period)
            if found is not None and found.owner == self.owner:
                replication.delete(self.location / "driver")

    def _work(self) -> None:
        while not self._ending.wait(self.period):
            with contextlib.suppress(Exception):  # an unreachable storage does not end the search
                self.renew()


def acquire_lease(location: Location, owner: str, period: float) -> None:
    """Acquire the lease of a search, waiting until another driver's lease expires.

    Raises UserError where that driver renews it, OSError where the storage cannot be used.
    """
    found = read_lease(location, period)
    if found is not None and found.owner != owner:
        patience = MISSED_RENEWALS * found.period
        print_text(
            f"{location} was run by {found.where}\nwaiting {patience:.0f} s for that "
            "driver's lease to expire"
        )
        deadline = monotonic() + patience
        while monotonic() < deadline:
            sleep(found.period / 10)
            now = read_lease(location, period)
            if now is None:  # it has ended
                break
            if now != found:
                raise UserError(
                    f"another driver, {now.where}, is running the search {location}\n"
                    f"wait for it, or end it there: {patience:.0f} s later the same command "
                    "continues here"
                )
    write_lease(location, owner, period)


def read_lease(location: Location, period: float) -> Lease | None:
    """Return the lease at a location, if any; a damaged one has the owner "". Raises OSError."""
    text = read_bytes(location / "driver", "lease.json")
    if text is None:
        return None
    try:
        content = decode_json(text)
        return Lease(
            content["owner"], content["where"], float(content["period"]), content["renewal"]
        )
    except (ValueError, KeyError, TypeError):
        return Lease("", "an unknown driver", period, "")


def write_lease(location: Location, owner: str, period: float) -> None:
    """Replace the lease at a location; raises OSError."""
    where = f"process {os.getpid()} on {platform.node()}"
    text = json.dumps(asdict(Lease(owner, where, period, uuid.uuid4().hex)))
    write_bytes(location / "driver", "lease.json", text.encode())
