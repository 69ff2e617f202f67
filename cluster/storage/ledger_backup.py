"""A search on remote storage: the driver's own folder, and a copy of it that follows.

Ledger, study and mlflow.db lie on the driver's disk; below the URI, `SEARCH/ledger` is a copy of
the search's folder, and `SEARCH/attempts/NNN/K` one of what attempt K at trial NNN has saved,
by its worker. The driver fetches what an ended trial leaves behind; then its attempts go. A
copy is one driver's: its manifest has as owner the word that the driver's folder is marked with.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.options import ResumeMode
from cluster.sampling.study import JOURNAL
from cluster.storage import replication
from cluster.storage.lease import LeaseHolder, acquire_lease
from cluster.storage.location import Location
from cluster.storage.redaction import first_line, has_credentials
from cluster.storage.replication import trial_owner
from cluster.tracking.client import artifact_location, default_tracking_uri
from trainables.errors import UserError

HOME = Path("runs")
PERIOD = 30.0
"""Seconds of which a head that is lost takes the ledger along, at most."""
PATIENCE = 60.0
"""Seconds that the end of a search waits for a storage that does not answer."""
MARK = ".copied"
"""File of a search's folder that says which copies were made of it, and of no other."""


def resolve_storage(storage: str) -> tuple[Path, Location | None]:
    """Give the driver's folder of a storage, and the place where its copy is, for a URI.

    Raises UserError for a URI with a login in it.
    """
    if "://" not in storage:
        return Path(storage), None
    parts = urlsplit(storage)
    if has_credentials(storage):
        raise UserError(
            f"the storage {parts.scheme}://... has a login in it, which would be written down\n"
            "give it to all machines as their provider has it: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or a role of the machine"
        )
    words = re.sub("[^A-Za-z0-9]+", "-", f"{parts.scheme}-{parts.netloc}{parts.path}").strip("-")
    own = hashlib.sha256(storage.encode()).hexdigest()[:8]
    return HOME / f"{words[:60]}-{own}", Location(storage)


def restore_ledger(
    storage: Path, remote: Location, space: str, going: ResumeMode = "resume"
) -> None:
    """Bring back the searches of a space that were last driven elsewhere, or whose disk is lost.

    The newest is this driver's from then on if it is gone on with. Raises UserError where the
    storage cannot be used, or where a driver that lives has that search.
    """
    try:
        replication.check_access(remote)
        found = {
            ledgers.parse_number(space, name): name for name in replication.list_folders(remote)
        }
        numbers = sorted(n for n in found if n and _is_of(space, remote / found[n]))
        for number in numbers:
            name, ours = found[number], going == "resume" and number == numbers[-1]
            _restore(storage, remote / name, storage / name, ours)
            confirmed = storage / name / "confirm"
            _restore(storage, remote / name / confirmed.name, confirmed, ours)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the storage {remote} cannot be used: {first_line(error)}\n"
            "mend that, or choose another with --storage"
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
        return there and ledgers.read_settings(folder).get("space", space) == space


def _restore(storage: Path, place: Location, here: Path, ours: bool) -> None:
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
        settings = ledgers.read_settings(here)
        # Only the driver's own database moves with its disk.
        if re.search(rf"^sqlite:.*/{storage.name}/mlflow\.db$", settings["tracking_uri"]):
            settings["tracking_uri"] = default_tracking_uri(storage)
            settings["artifacts"] = artifact_location(settings["tracking_uri"], storage)
            ledgers.write_settings(here, settings)
        if ours:
            replication.upload(here, place / "ledger", mark)
    finally:
        lock.release()
