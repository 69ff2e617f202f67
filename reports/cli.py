"""Options and error handling that all commands of reports share."""

import argparse
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from cluster.storage.database_file import is_database_file, parse_database_path
from cluster.storage.redaction import redact, redact_address
from cluster.storage.searches import describe_missing
from cluster.storage.storage import open_storage
from cluster.tracking.client import open_client
from reports.read.records import Tracker, TrackerError
from trainables.errors import (
    BAD_INPUT,
    INCOMPLETE,
    INTERRUPTED,
    AbsentError,
    DamagedFileError,
    UnreadableError,
    UserError,
)
from trainables.terminal import print_text

T = TypeVar("T")
SERVERS = ("http", "https", "postgresql", "mysql", "mssql")
"""Schemes of the addresses of tracking servers and databases."""


def run_action(options: argparse.Namespace, action: Callable[[Tracker], None]) -> int:
    """Run an action with the server of the options, and return the exit code.

    That is 0, or after an error message 2 for an error of the user, and 3 where something that
    exists cannot be read, such as a server that does not answer.
    """
    return report_errors(options, lambda: run_with_tracker(options, action))


def report_errors(options: argparse.Namespace, action: Callable[[], None]) -> int:
    """Run an action that needs no server, and return the exit code as `run_action` does."""
    try:
        action()
    except KeyboardInterrupt:
        print_error("\ninterrupted; give the same command again")
        return INTERRUPTED
    except (UserError, OSError) as error:
        if options.debug:
            print_error(traceback.format_exc())
        print_error(error)
        unreadable = isinstance(error, UnreadableError | DamagedFileError)
        return INCOMPLETE if unreadable else BAD_INPUT
    return 0


def run_with_tracker(options: argparse.Namespace, action: Callable[[Tracker], T]) -> T:
    """Return what an action returns with the server of the options; raises UserError."""
    storage = open_storage(options.storage, options.tracking_uri)
    uri = storage.tracking_uri
    try:
        return action(_open_client(uri))
    except AbsentError as error:
        names = [error.name] if error.name else vars(options).get("names") or [options.name]
        for advice in filter(None, (describe_missing(storage, name) for name in names)):
            first = str(error).partition("\n")[0]
            raise UnreadableError(f"{first}\n{advice}") from error
        raise
    except TrackerError as error:
        message = f"the tracking server {redact_address(uri)} could not answer: {error}"
        raise UnreadableError(redact(message)[:600]) from error


def has_server(options: argparse.Namespace) -> bool:
    """Return whether there is something to read from: a server, or a database that exists."""
    uri = open_storage(options.storage, options.tracking_uri).tracking_uri
    return not is_database_file(uri) or parse_database_path(uri).exists()


def _open_client(uri: str) -> Tracker:
    try:
        return open_client(uri, read_only=True)
    except UserError as error:
        exists = parse_database_path(uri).exists() if is_database_file(uri) else _is_server(uri)
        if not exists or "***" in uri:
            raise
        raise UnreadableError(str(error)) from error


def _is_server(uri: str) -> bool:
    return uri.partition(":")[0].partition("+")[0] in SERVERS


def make_out_folder(folder: Path) -> None:
    """Create the folder of --out; raises UserError where it cannot be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"The folder {folder} cannot be written to: {error.strerror}\n"
            "Name another folder with --out DIR."
        ) from error


def print_error(message: object) -> None:
    """Print to standard error, with credentials redacted and control characters shown."""
    print_text(redact(str(message)), sys.stderr)
