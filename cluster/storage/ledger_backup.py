"""The backup of a search on remote storage, written while the search runs.

Ledger, study and mlflow.db are on the driver's disk. Below the URI, `SEARCH/ledger` is a copy of
the search's folder, and `SEARCH/attempts/NNN/K` has what the worker of attempt K at trial NNN has
saved. The driver downloads the files of an ended trial and deletes its attempts. A copy belongs
to one driver: the owner in its manifest is the content of the marker file in the driver's folder.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.ledger.damage import INDEX
from cluster.ledger.files import OUTPUT, RERUNS, delete_weights, list_journals, parse_number
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import read_space
from cluster.storage import replication
from cluster.storage.lease import LeaseHolder, acquire_lease
from cluster.storage.location import Location
from cluster.storage.redaction import first_line
from cluster.storage.replication import trial_owner
from cluster.storage.storage import Storage
from trainables.errors import UserError

PERIOD = 30.0
"""Seconds between two copies: the most that is lost with the driver's machine."""
PATIENCE = 60.0
"""Seconds for which the end of a search waits for a storage that does not answer."""
MARKER = ".copied"
"""Marker file of a search's folder, whose content is the owner of the copies made of it."""


def restore_ledger(storage: Storage, space: str, take_over: bool) -> None:
    """Download the searches of a space that ran elsewhere last, or whose disk is lost.

    With `take_over` the newest one is this driver's from then on. Raises UserError where the
    storage cannot be used, or where another driver is running that search.
    """
    remote, folder = storage.remote, storage.folder
    assert remote is not None
    try:
        replication.check_access(remote)
        names = {parse_number(space, name): name for name in replication.list_folders(remote)}
        numbers = sorted(n for n in names if n and _is_of(space, remote / names[n]))
        for number in numbers:
            name, ours = names[number], take_over and number == numbers[-1]
            _restore(remote / name, folder / name, ours)
            confirmation = folder / name / RERUNS
            _restore(remote / name / confirmation.name, confirmation, ours)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot use the storage {remote}: {first_line(error)}\n"
            "fix that, or choose another with --storage"
        ) from error


class LedgerBackup:
    """Copies a search's folder to remote storage, on a thread of its own."""

    def __init__(self, ledger: Ledger, location: Location) -> None:
        self.ledger = ledger
        self.location = location
        self.behind = ""
        self._owner = _read_marker(ledger.folder)
        self._lease = LeaseHolder(location, self._owner, PERIOD)
        self._files: dict[str, replication.FileStamp] = {}
        self._ended: set[int] = set()
        self._fetched: set[int] = set()
        self._deleted: set[int] = set()
        self._fetching = threading.Lock()
        self._due = 0.0
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._work, name="copies", daemon=True)

    def start(self) -> None:
        """Acquire the lease and start the thread; raises UserError where that is impossible."""
        self._snapshot()
        try:
            found = replication.read_newest_index(self.location / "ledger")
            if found is not None and found.owner != self._owner:
                raise UserError(
                    f"another driver has continued the search {self.location} meanwhile\n"
                    "when it has ended, continue with the same command and --resume"
                )
            acquire_lease(self.location, self._owner, PERIOD)
            left = {int(name) for name in replication.list_folders(self.location / "attempts")}
            self._upload()
        except OSError as error:
            why = first_line(error)
            raise UserError(f"cannot use the storage {self.location}: {why}") from error
        self._fetched, self._deleted = self._ended - left, self._ended - left
        self.ledger.fetch = self.fetch
        self._lease.start()
        self._thread.start()

    @property
    def lost(self) -> UserError | None:
        """Return why this driver must end: another one has taken the search over."""
        return self._lease.lost

    def step(self) -> None:
        """Start a copy if it is time; called between events, when all files are consistent."""
        if time.monotonic() > self._due and not self._wake.is_set():
            self._snapshot()
            self._wake.set()

    def fetch(self, trial: int) -> None:
        """Download the output, predictions and weights of an ended trial; raises OSError."""
        with self._fetching:
            trial_log = self.ledger.trial_logs[trial]
            if trial in self._fetched or trial_log.outcome is None:
                return
            has_result = trial_log.outcome in ("complete", "stopped")
            weights = has_result and self.ledger.keeps_weights(trial_log)
            folder = self.ledger.latest_attempt(trial)
            replication.download(
                self.location / "attempts" / f"{trial:03d}" / str(trial_log.attempts),
                folder,
                trial_owner(trial_log.config),
                lambda name: (
                    name == OUTPUT
                    or (
                        (has_result and name.startswith("best/"))
                        and (weights or name.endswith(".parquet"))
                    )
                ),
            )
            # A better trial may have ended meanwhile.
            if weights and not self.ledger.keeps_weights(trial_log):
                delete_weights(folder / "best")
            self._fetched.add(trial)

    def close(self) -> str | None:
        """Copy what is left; return what failed, if anything."""
        deadline = time.monotonic() + PATIENCE
        self._ending.set()
        self._wake.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.behind = self.behind or "it is slow"
        else:
            self._snapshot()
            while not self._try_copy() and not self.lost and time.monotonic() < deadline:
                time.sleep(1.0)
        if self.lost:
            return str(self.lost)
        if not self.behind:
            self._lease.close()
            return None
        return (
            f"the copy in {self.location} is not complete: {self.behind}\n"
            "nothing is lost: the same command with --resume completes it"
        )

    def _work(self) -> None:
        while not self._ending.is_set():
            self._wake.wait()
            if self._ending.is_set():
                return
            self._try_copy()
            self._due = time.monotonic() + PERIOD
            self._wake.clear()  # `_ending` is checked next: `close` may have set both

    def _try_copy(self) -> bool:
        """Make a copy; a failure does not stop the search, and is retried the next time."""
        try:
            self._copy()
        except Exception as error:
            self.behind = first_line(error)
            return False
        self.behind = ""
        return True

    def _copy(self) -> None:
        self._lease.renew()
        if self.lost:
            raise self.lost
        for trial in sorted(self._ended - self._fetched):
            self.fetch(trial)
        # A driver restored from this copy has no trial that ended after `_snapshot`: it needs
        # the attempts of those.
        unneeded = self._ended & self._fetched - self._deleted
        self._upload()
        for trial in sorted(unneeded):
            replication.delete(self.location / "attempts" / f"{trial:03d}")
            self._deleted.add(trial)

    def _snapshot(self) -> None:
        trial_logs = self.ledger.trial_logs
        self._ended = {trial for trial, trial_log in trial_logs.items() if trial_log.outcome}
        journals = [path.name for path in list_journals(self.ledger.folder)]
        logs = [f"trials/{trial:03d}/reports.jsonl" for trial in trial_logs]
        growing = [*journals, INDEX, *logs]
        self._files = replication.stat_files(self.ledger.folder, growing)

    def _upload(self) -> None:
        folder = self.ledger.folder
        inner = tuple(f"{path.parent.name}/" for path in folder.glob("*/search.json"))
        names = [
            name
            for name in replication.list_files(folder)
            if not name.endswith(replication.APPEND_ONLY) and not name.startswith(inner)
        ]
        files = {**replication.stat_files(folder, names), **self._files}
        replication.upload(folder, self.location / "ledger", self._owner, files)


def _read_marker(folder: Path) -> str:
    """Return the content of a folder's marker, which is written where missing."""
    marker = folder / MARKER
    if not marker.exists():
        marker.write_text(uuid.uuid4().hex, encoding="utf-8")
    return marker.read_text(encoding="utf-8")


def _is_of(space: str, location: Location) -> bool:
    # A space called digits-2 has folders that look like the second search of digits.
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        exists = replication.download(
            location / "ledger", folder, None, lambda name: name == "search.json"
        )
        return exists and read_space(folder) in (space, None)


def _restore(location: Location, here: Path, ours: bool) -> None:
    found = replication.read_newest_index(location / "ledger")
    if found is None:
        return
    here.mkdir(parents=True, exist_ok=True)
    if not ours and (here / MARKER).exists() and found.owner == _read_marker(here):
        return
    lock = ledgers.acquire_lock(here)
    try:
        # The driver that holds the lock of a folder is the only one with its marker.
        marker = _read_marker(here)
        if ours:
            acquire_lease(location, marker, PERIOD)
            found = replication.read_newest_index(location / "ledger") or found
        if found.owner == marker:
            return
        for old in here.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name not in (".lock", MARKER):
                old.unlink()
        replication.download(location / "ledger", here)
        if ours:
            replication.upload(here, location / "ledger", marker)
    finally:
        lock.release()
