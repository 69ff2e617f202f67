"""Where searches are written: a folder, its remote copy, and the tracking server.

`tune`, `train` and `reports` read the same options and environment variables through here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from cluster.storage.location import Location
from cluster.storage.redaction import has_credentials
from trainables.errors import UserError

LOCAL_COPIES = Path("runs")
"""Folder of the ledgers whose storage is remote."""


@dataclass(frozen=True)
class Storage:
    """A folder of searches; `remote` is the copy that survives this machine, if there is one.

    `user_tracking_uri` is what the user named, which may contain credentials.
    """

    folder: Path
    remote: Location | None = None
    user_tracking_uri: str | None = None

    @property
    def tracking_uri(self) -> str:
        """Return the address of the tracking server: the given one, else a SQLite file here."""
        return self.user_tracking_uri or self.default_tracking_uri

    @property
    def default_tracking_uri(self) -> str:
        """Return the address of the SQLite file in the folder."""
        return f"sqlite:///{self.folder.resolve() / 'mlflow.db'}"

    def __str__(self) -> str:
        return str(self.remote or self.folder)


def add_storage_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --storage and --tracking-uri to a command line; `open_storage` takes their values."""
    parser.add_argument(
        "--storage",
        metavar="DIR|URI",
        help="folder or bucket of the searches, such as runs or s3://bucket/prefix "
        "(default: TUNERY_STORAGE, or runs)",
    )
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="MLflow tracking server (default: MLFLOW_TRACKING_URI, or a file in the storage)",
    )


def open_storage(storage: str | None = None, tracking_uri: str | None = None) -> Storage:
    """Return the storage of these options, else of TUNERY_STORAGE and MLFLOW_TRACKING_URI.

    Of a remote storage, the ledger and the default database lie in a folder below `runs`. Raises
    UserError for a URI with credentials in it, which would be written down.
    """
    storage = storage or os.environ.get("TUNERY_STORAGE") or "runs"
    tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or None
    if "://" not in storage:
        return Storage(Path(storage), None, tracking_uri)
    parts = urlsplit(storage)
    if has_credentials(storage):
        raise UserError(
            f"--storage {parts.scheme}://... contains credentials, which would be written down\n"
            "give them to all machines as their provider does: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or a role of the machine"
        )
    words = re.sub("[^A-Za-z0-9]+", "-", f"{parts.scheme}-{parts.netloc}{parts.path}").strip("-")
    digest = hashlib.sha256(storage.encode()).hexdigest()[:8]
    return Storage(LOCAL_COPIES / f"{words[:60]}-{digest}", Location(storage), tracking_uri)


def artifact_location(tracking_uri: str, folder: Path) -> str | None:
    """Return where the artifacts of a new experiment go; None: the server decides."""
    is_file = tracking_uri.startswith("sqlite:")
    return (folder.resolve() / "artifacts").as_uri() if is_file else None
