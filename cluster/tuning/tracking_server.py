"""Find the tracking server of a search, which may have another address than when it was started.

A database outside of the storage does not move with it: the user says where it is now.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cluster.ledger.ledger import Ledger
from cluster.storage.database_file import is_database_file, parse_database_path
from cluster.storage.redaction import redact_address
from cluster.storage.storage import Storage
from cluster.tracking.client import find_search, open_client
from cluster.tracking.problems import format_rebuild_command
from trainables.errors import UserError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient


def open_server(storage: Storage, ledger: Ledger | None) -> tuple[MlflowClient, str]:
    """Return a client of the server of a new search or, with its ledger, of one to continue.

    Returns what the search records of the server, too. Raises UserError where the server does not
    answer, where the database that a search was written to is missing, and for a server that has
    nothing of the search, unless its own is a database that is gone.
    """
    recorded = ledger.settings.tracking_uri if ledger else storage.recorded_tracking_uri
    uri = storage.find_tracking_uri(recorded)
    if ledger is None:
        return open_client(uri), recorded
    before = replace(storage, user_tracking_uri=None).find_tracking_uri(recorded)
    is_gone, named = _is_missing(before), redact_address(uri)
    if storage.user_tracking_uri and storage.recorded_tracking_uri != recorded:
        recorded = storage.recorded_tracking_uri
        if not _has_search(uri, ledger):
            if not is_gone:
                raise UserError(
                    f"the search in {ledger.folder} is written to {redact_address(before)}, and "
                    f"{named} has nothing of it\n"
                    "leave --tracking-uri out to continue it, or write it there first:\n"
                    f"  {format_rebuild_command(ledger, named)}"
                )
            ledger.notes.append(
                f"{redact_address(before)} is missing: the search is written to {named} again"
            )
        else:
            ledger.notes.append(
                f"the search was written to {redact_address(before)}, and now is to {named}"
            )
    elif is_gone and recorded and parse_database_path(recorded).is_absolute():
        raise UserError(
            f"the MLflow database of the search in {ledger.folder} is missing: "
            f"{parse_database_path(before)}\n"
            "say where it is now with --tracking-uri sqlite:///PATH, or write the search again:\n"
            f"  {format_rebuild_command(ledger)}"
        )
    elif is_gone and storage.remote is None:
        ledger.notes.append(f"{parse_database_path(before)} is missing: a new one is written")
    return open_client(uri), recorded


def _is_missing(uri: str) -> bool:
    return is_database_file(uri) and not parse_database_path(uri).exists()


def _has_search(uri: str, ledger: Ledger) -> bool:
    if _is_missing(uri):
        return False
    return find_search(open_client(uri), ledger.id) is not None
