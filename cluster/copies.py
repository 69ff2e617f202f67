"""A search on remote storage: the driver's own folder, and a copy of it that follows.

Ledger, study and mlflow.db lie on the driver's disk; below the URI, `SEARCH/ledger` is a copy of
the search's folder, and `SEARCH/attempts/NNN/K` one of what attempt K at trial NNN has saved,
by its worker. The driver fetches what an ended trial leaves behind; then its attempts go.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import threading
import time
import uuid
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from cluster import ledger as ledgers
from cluster import server
from cluster.ledger import Ledger
from cluster.study import JOURNAL
from trainables import mirror
from trainables.errors import UserError
from trainables.mirror import Place
from trainables.trainable import owner_of

HOME = Path("runs")
PERIOD = 30.0
"""Seconds of which a head that is lost takes the ledger along, at most."""
PATIENCE = 60.0
"""Seconds that the end of a search waits for a storage that does not answer."""
MARK = ".copied"
"""File of a search's folder that says which copies were made of it, and of no other."""
SECRET = re.compile("key|secret|token|password|signature|credential|^sig$", re.IGNORECASE)


def home(storage: str) -> tuple[Path, Place | None]:
    """Give the driver's folder of a storage, and the place where its copy is, for a URI.

    Raises UserError for a URI with a login in it.
    """
    if "://" not in storage:
        return Path(storage), None
    parts = urlsplit(storage)
    if parts.password or any(SECRET.search(name) for name, _ in parse_qsl(parts.query)):
        raise UserError(
            f"the storage {parts.scheme}://... has a login in it, which would be written down\n"
            "give it to all machines as their provider has it: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or a role of the machine"
        )
    words = re.sub("[^A-Za-z0-9]+", "-", f"{parts.scheme}-{parts.netloc}{parts.path}").strip("-")
    own = hashlib.sha256(storage.encode()).hexdigest()[:8]
    return HOME / f"{words[:60]}-{own}", Place(storage)


def restore(storage: Path, remote: Place, space: str) -> None:
    """Bring back the searches of a space that were last driven elsewhere, or whose disk is lost.

    Raises UserError where the storage cannot be used.
    """
    try:
        mirror.try_out(remote)
        for name in mirror.folders(remote):
            if ledgers.number_of(space, name):
                _restore(storage, remote / name / "ledger", storage / name)
                confirmed = storage / name / "confirm"
                _restore(storage, remote / name / confirmed.name / "ledger", confirmed)
    except (OSError, ValueError) as error:
        raise UserError(
            f"the storage {remote} cannot be used: {server.first_line(error)}\n"
            "mend that, or choose another with --storage"
        ) from error


class Copies:
    """Keeps the copy of a search's folder up, on a thread of its own."""

    def __init__(self, ledger: Ledger, place: Place) -> None:
        self.ledger = ledger
        self.place = place
        self.behind = ""
        self._owner = _owner(ledger.folder) or uuid.uuid4().hex
        self._files: dict[str, mirror.Stamp] = {}
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
        (self.ledger.folder / MARK).write_text(self._owner, encoding="utf-8")
        self._look()
        try:
            left = {int(name) for name in mirror.folders(self.place / "attempts")}
            self._push()
        except OSError as error:
            why = server.first_line(error)
            raise UserError(f"the storage {self.place} cannot be used: {why}") from error
        self._fetched, self._deleted = self._ended - left, self._ended - left
        self.ledger.fetch = self.fetch
        self._thread.start()

    def step(self) -> None:
        """Have a copy made where it is time; called between events, when all files agree."""
        if time.monotonic() > self._due and not self._wake.is_set():
            self._look()
            self._wake.set()

    def fetch(self, trial: int) -> None:
        """Bring here what an ended trial leaves behind; raises OSError."""
        with self._fetching:
            story = self.ledger.stories[trial]
            if trial in self._fetched or story.outcome is None:
                return
            if story.outcome in ("complete", "stopped"):
                weights = self.ledger.keeps(story)
                mirror.pull(
                    self.place / "attempts" / f"{trial:03d}" / str(story.attempts),
                    self.ledger.newest_attempt(trial),
                    owner_of(story.values),
                    lambda name: (
                        name.startswith("best/") and (weights or name.endswith(".parquet"))
                    ),
                )
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
            while not self._tried() and time.monotonic() < deadline:
                time.sleep(1.0)
        if not self.behind:
            return None
        return (
            f"the copy in {self.place} has not got everything: {self.behind}\n"
            "nothing is lost: when it can be written to, the same command with --resume goes on"
        )

    def _work(self) -> None:
        while True:
            self._wake.wait()
            if self._ending.is_set():
                return
            self._tried()
            self._due = time.monotonic() + PERIOD
            if not self._ending.is_set():
                self._wake.clear()

    def _tried(self) -> bool:
        """Make a copy; what fails is done again the next time, and does not stop the search."""
        try:
            self._round()
        except Exception as error:
            self.behind = server.first_line(error)
            return False
        self.behind = ""
        return True

    def _round(self) -> None:
        now = mirror.newest(self.place / "ledger")
        if now is not None and now.owner != self._owner:
            raise OSError("another driver, on another disk, goes on with this search")
        for trial in sorted(self._ended - self._fetched):
            self.fetch(trial)
        # A lost head forgets what came after `_look`: those trials need their attempts.
        gone = self._ended & self._fetched - self._deleted
        self._push()
        for trial in sorted(gone):
            mirror.delete(self.place / "attempts" / f"{trial:03d}")
            self._deleted.add(trial)

    def _look(self) -> None:
        stories = self.ledger.stories
        self._ended = {trial for trial, story in stories.items() if story.outcome}
        growing = [JOURNAL, *(f"trials/{trial:03d}/reports.jsonl" for trial in stories)]
        self._files = mirror.stamps(self.ledger.folder, growing)

    def _push(self) -> None:
        folder = self.ledger.folder
        inner = tuple(f"{path.parent.name}/" for path in folder.glob("*/search.json"))
        names = [
            name
            for name in mirror.names(folder)
            if not name.endswith(mirror.GROWING) and not name.startswith(inner)
        ]
        files = {**mirror.stamps(folder, names), **self._files}
        mirror.push(folder, self.place / "ledger", self._owner, files)


def _owner(folder: Path) -> str | None:
    mark = folder / MARK
    return mark.read_text(encoding="utf-8") if mark.exists() else None


def _restore(storage: Path, place: Place, here: Path) -> None:
    found = mirror.newest(place)
    if found is None or found.owner == _owner(here):
        return
    here.mkdir(parents=True, exist_ok=True)
    lock = ledgers.take(here)
    try:
        for old in here.iterdir():
            if old.is_dir():
                shutil.rmtree(old)
            elif old.name != ".lock":
                old.unlink()
        mirror.pull(place, here)
        settings = ledgers.read_settings(here)
        # Only the driver's own database moves with its disk.
        if re.search(rf"^sqlite:.*/{storage.name}/mlflow\.db$", settings["tracking_uri"]):
            settings["tracking_uri"] = server.default_uri(storage)
            settings["artifacts"] = server.artifacts(settings["tracking_uri"], storage)
            ledgers.write_settings(here, settings)
    finally:
        lock.release()
