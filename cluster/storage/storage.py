"""Where searches are written: a folder, its remote copy, and the tracking server.

`tune`, `train` and `reports` read the same options and environment variables through here.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from cluster.storage.database_file import (
    format_database_uri,
    is_database_file,
    parse_database_path,
)
from cluster.storage.location import Location
from cluster.storage.redaction import has_credentials, redact_address
from trainables.arguments import nonempty, read_path
from trainables.errors import UserError

DATABASE = "mlflow.db"
"""File of MLflow in a storage folder."""
REMOTE = ("s3", "gs", "gcs", "abfs", "abfss", "hdfs", "viewfs", "file")
"""Schemes of the storages that pyarrow opens."""
LOCAL_COPIES = Path("runs")
"""Folder of the ledgers whose storage is remote."""


@dataclass(frozen=True)
class Storage:
    """A folder of searches; `remote` is the copy that survives this machine, if there is one.

    The folder is absolute, since a task may change the working directory; `name` is what the user
    named, for messages.
    `user_tracking_uri` is what the user named, which may contain credentials; the path of a SQLite
    file in it is absolute.
    """

    folder: Path
    remote: Location | None = None
    user_tracking_uri: str | None = field(default=None, repr=False)
    name: str = field(default="", compare=False)

    @property
    def tracking_uri(self) -> str:
        """Return the address of the tracking server: the given one, else a SQLite file here."""
        return self.user_tracking_uri or self.default_tracking_uri

    @property
    def default_tracking_uri(self) -> str:
        """Return the address of the SQLite file in the folder."""
        return format_database_uri(self.folder.resolve() / DATABASE)

    @property
    def recorded_tracking_uri(self) -> str:
        """Return what a search records of its tracking server, without credentials.

        The database of the storage is an empty text, and a path in the storage is relative to it:
        a storage that has moved finds both where it is now.
        """
        uri = self.user_tracking_uri
        if uri is None or uri == self.default_tracking_uri:
            return ""
        if is_database_file(uri):
            path, folder = parse_database_path(uri), self.folder.resolve()
            if path.is_relative_to(folder):
                return format_database_uri(path.relative_to(folder))
        return redact_address(uri)

    def find_tracking_uri(self, recorded: str) -> str:
        """Return the address of the server of a search: the user's, else what it has recorded."""
        if self.user_tracking_uri or not recorded:
            return self.tracking_uri
        if is_database_file(recorded) and "?" not in recorded:
            return format_database_uri(self.folder.resolve() / parse_database_path(recorded))
        return recorded

    def __str__(self) -> str:
        return self.name or str(self.remote or self.folder)


def add_storage_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --storage and --tracking-uri to a command line; `open_storage` takes their values."""
    parser.add_argument(
        "--storage",
        type=nonempty,
        metavar="DIR|URI",
        help="folder or bucket of the searches, such as runs or s3://bucket/prefix "
        "(default: TUNERY_STORAGE, or runs)",
    )
    parser.add_argument(
        "--tracking-uri",
        type=nonempty,
        metavar="URI",
        help="MLflow tracking server (default: MLFLOW_TRACKING_URI, or a file in the storage)",
    )


def open_storage(storage: str | None = None, tracking_uri: str | None = None) -> Storage:
    """Return the storage of these options, else of TUNERY_STORAGE and MLFLOW_TRACKING_URI.

    Of a remote storage, the ledger and the default database lie in a folder below `runs`. Raises
    UserError for a URI with credentials in it, which would be written down, and for a path that no
    folder can have.
    """
    storage = _read("--storage", storage, "TUNERY_STORAGE") or "runs"
    tracking_uri = _read("--tracking-uri", tracking_uri, "MLFLOW_TRACKING_URI")
    _check_scheme(storage)
    if tracking_uri and is_database_file(tracking_uri) and "?" not in tracking_uri:
        path = read_path("--tracking-uri", str(parse_database_path(tracking_uri)))
        tracking_uri = format_database_uri(path.parent.resolve() / path.name)
    if "://" not in storage:
        folder = read_path("--storage", storage)
        return Storage(folder.absolute(), None, tracking_uri, str(folder))
    parts = urlsplit(storage)
    if has_credentials(storage):
        raise UserError(
            f"--storage {parts.scheme}://... contains credentials, which would be written down\n"
            "give them to all machines as their provider does: AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, ~/.aws/credentials, or a role of the machine"
        )
    words = re.sub("[^A-Za-z0-9]+", "-", f"{parts.scheme}-{parts.netloc}{parts.path}").strip("-")
    digest = hashlib.sha256(storage.encode()).hexdigest()[:8]
    folder = (LOCAL_COPIES / f"{words[:60]}-{digest}").absolute()
    return Storage(folder, Location(storage), tracking_uri)


def list_storage_options(storage: Storage) -> list[str]:
    """Return the --storage of a printed command; none where it is what `open_storage` chooses."""
    try:
        default = str(open_storage())
    except UserError:  # a variable that no command without --storage would accept
        default = ""
    name = str(storage)
    if name == default:
        return []
    return [f"--storage={name}"] if name.startswith("-") else ["--storage", name]


def _read(option: str, value: str | None, variable: str) -> str | None:
    """Return the value of an option, else of a variable, of which an empty one counts as unset."""
    where = option if value is not None else variable
    value = value if value is not None else os.environ.get(variable) or None
    try:
        return value if value is None else nonempty(value)
    except argparse.ArgumentTypeError as error:
        raise UserError(f"{where}: {error}") from None


def _check_scheme(storage: str) -> None:
    scheme, colon, rest = storage.partition(":")
    if not colon or (scheme not in REMOTE and not rest.startswith("//")):
        return
    if scheme not in REMOTE or not rest.startswith("//") or rest == "//":
        raise UserError(
            f"--storage {redact_address(storage)} is no address of a storage\n"
            f"give a folder, or one of {', '.join(f'{name}://' for name in REMOTE)} with a bucket "
            "or path behind it"
        )
