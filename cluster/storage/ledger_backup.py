"""A search on remote storage: the driver's own folder, and a copy of it that follows.

Ledger, study and mlflow.db lie on the driver's disk; below the URI, `SEARCH/ledger` is a copy of
the search's folder, and `SEARCH/attempts/NNN/K` one of what attempt K at trial NNN has saved,
by its worker. The driver fetches what an ended trial leaves behind; then its attempts go. A
copy is one driver's: its manifest has as owner the word that the driver's folder is marked with.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import read_settings, write_settings
from cluster.sampling.study import JOURNAL
from cluster.storage import replication
from cluster.storage.lease import LeaseHolder, acquire_lease
from cluster.storage.location import Location
from cluster.storage.redaction import first_line
from cluster.storage.replication import trial_owner
from cluster.storage.storage import Storage
from cluster.tracking.client import artifact_location
from trainables.errors import UserError

PERIOD = 30.0
"""Seconds of which a head that is lost takes the ledger along, at most."""
PATIENCE = 60.0
"""Seconds that the end of a search waits for a storage that does not answer."""
MARK = ".copied"
"""File of a search's folder that says which copies were made of it, and of no other."""


def restore_ledger(storage: Storage, space: str, take_over: bool) -> None:
    """Download the searches of a space that ran elsewhere last, or whose disk is lost.

    With `take_over` the newest one is this driver's from then on. Raises UserError where the
    storage cannot be used, or where another driver is running that search.
    """
    remote, folder = storage.remote, storage.folder
    assert remote is not None
    try:
        replication.check_access(remote)
        names = {
            ledgers.parse_number(space, name): name for name in replication.list_folders(remote)
        }
        numbers = sorted(n for n in names if n and _is_of(space, remote / names[n]))
        for number in numbers:
            name, ours = names[number], take_over and number == numbers[-1]
            _restore(storage, remote / name, folder / name, ours)
            confirmation = folder / name / "confirm"
            _restore(storage, remote / name / confirmation.name, confirmation, ours)
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot use the storage {remote}: {first_line(error)}\n"
            "fix that, or choose another with --storage"
        ) from error


class LedgerBackup:
    """Keeps the copy of a search's folder up, on a thread of its own."""

    def __init__(self, ledger: Ledger, place: Location) -> None:
        self.ledger = ledger
        self.place = place
        self.behind = ""
        self._owner = _marked(ledger.folder)
        self._heartbeat = LeaseHolder(place, self._owner, PERIOD)
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
        """Make the copy ours, and begin; raises UserError where that is impossible."""
        self._look()
        try:
            found = replication.read_newest_index(self.place / "ledger")
            if found is not None and found.owner != self._owner:
                raise UserError(
                    f"another driver has gone on with the search {self.place} meanwhile\n"
                    "the same command with --resume goes on when that one has ended"
                )
            acquire_lease(self.place, self._owner, PERIOD)
            left = {int(name) for name in replication.list_folders(self.place / "attempts")}
            self._push()
        except OSError as error:
            why = first_line(error)
            raise UserError(f"the storage {self.place} cannot be used: {why}") from error
        self._fetched, self._deleted = self._ended - left, self._ended - left
        self.ledger.fetch = self.fetch
        self._heartbeat.start()
        self._thread.start()

    @property
    def lost(self) -> UserError | None:
        """Say why this driver must end, if another has the search now."""
        return self._heartbeat.lost

    def step(self) -> None:
        """Have a copy made where it is time; called between events, when all files agree."""
        if time.monotonic() > self._due and not self._wake.is_set():
            self._look()
            self._wake.set()

    def fetch(self, trial: int) -> None:
        """Bring here what an ended trial leaves behind; raises OSError."""
        with self._fetching:
            trial_log = self.ledger.trial_logs[trial]
            if trial in self._fetched or trial_log.outcome is None:
                return
            if trial_log.outcome in ("complete", "stopped"):
                weights = self.ledger.keeps_weights(trial_log)
                folder = self.ledger.latest_attempt(trial)
                replication.download(
                    self.place / "attempts" / f"{trial:03d}" / str(trial_log.attempts),
                    folder,
                    trial_owner(trial_log.values),
                    lambda name: (
                        name.startswith("best/") and (weights or name.endswith(".parquet"))
                    ),
                )
                if weights and not self.ledger.keeps_weights(
                    trial_log
                ):  # a better one ended meanwhile
                    for path in (folder / "best").glob("*"):
                        if path.suffix != ".parquet":
                            path.unlink(missing_ok=True)
            self._fetched.add(trial)

    def close(self) -> str | None:
        """Copy what is left; gives what went wrong, if anything."""
        deadline = time.monotonic() + PATIENCE
        self._ending.set()
        self._wake.set()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            self.behind = self.behind or "it is slow"
        else:
            self._look()
            while not self._tried() and not self.lost and time.monotonic() < deadline:
                time.sleep(1.0)
        if self.lost:
            return str(self.lost)
        if not self.behind:
            self._heartbeat.close()
            return None
        return (
            f"the copy in {self.place} has not got everything: {self.behind}\n"
            "nothing is lost: when it can be written to, the same command with --resume goes on"
        )

    def _work(self) -> None:
        while not self._ending.is_set():
            self._wake.wait()
            if self._ending.is_set():
                return
            self._tried()
            self._due = time.monotonic() + PERIOD
            self._wake.clear()  # and then a look at `_ending`: its own waking may be what went

    def _tried(self) -> bool:
        """Make a copy; what fails is done again the next time, and does not stop the search."""
        try:
            self._round()
        except Exception as error:
            self.behind = first_line(error)
            return False
        self.behind = ""
        return True

    def _round(self) -> None:
        self._heartbeat.beat()
        if self.lost:
            raise self.lost
        for trial in sorted(self._ended - self._fetched):
            self.fetch(trial)
        # A lost head forgets what came after `_look`: those trials need their attempts.
        gone = self._ended & self._fetched - self._deleted
        self._push()
        for trial in sorted(gone):
            replication.delete(self.place / "attempts" / f"{trial:03d}")
            self._deleted.add(trial)

    def _look(self) -> None:
        trial_logs = self.ledger.trial_logs
        self._ended = {trial for trial, trial_log in trial_logs.items() if trial_log.outcome}
        growing = [JOURNAL, *(f"trials/{trial:03d}/reports.jsonl" for trial in trial_logs)]
        self._files = replication.stat_files(self.ledger.folder, growing)

    def _push(self) -> None:
        folder = self.ledger.folder
        inner = tuple(f"{path.parent.name}/" for path in folder.glob("*/search.json"))
        names = [
            name
            for name in replication.list_files(folder)
            if not name.endswith(replication.GROWING) and not name.startswith(inner)
        ]
        files = {**replication.stat_files(folder, names), **self._files}
        replication.upload(folder, self.place / "ledger", self._owner, files)


def _marked(folder: Path) -> str:
    """Give the word that tells a driver's folder from all others."""
    mark = folder / MARK
    if not mark.exists():
        mark.write_text(uuid.uuid4().hex, encoding="utf-8")
    return mark.read_text(encoding="utf-8")


def _is_of(space: str, place: Location) -> bool:
    # A space called digits-2 has folders that look like the second search of digits.
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        there = replication.download(
            place / "ledger", folder, None, lambda name: name == "search.json"
        )
        return there and read_settings(folder).space == space


def _restore(storage: Storage, place: Location, here: Path, ours: bool) -> None:
    found = replication.read_newest_index(place / "ledger")
    if found is None:
        return
    here.mkdir(parents=True, exist_ok=True)
    if not ours and (here / MARK).exists() and found.owner == _marked(here):
        return
    lock = ledgers.acquire_lock(here)
    try:
        # Whoever holds the lock of a folder is the only driver that has its mark.
        mark = _marked(here)
        if ours:
            acquire_lease(place, mark, PERIOD)
            found = replication.read_newest_index(place / "ledger") or found
        if found.owner == mark:
            return
        for old in here.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name not in (".lock", MARK):
                old.unlink()
        replication.download(place / "ledger", here)
        settings = read_settings(here)
        # Only the driver's own database moves with its disk.
        if re.search(rf"^sqlite:.*/{storage.folder.name}/mlflow\.db$", settings.tracking_uri):
            uri = storage.default_tracking_uri
            artifacts = artifact_location(uri, storage.folder)
            write_settings(here, replace(settings, tracking_uri=uri, artifacts=artifacts))
        if ours:
            replication.upload(here, place / "ledger", mark)
    finally:
        lock.release()
