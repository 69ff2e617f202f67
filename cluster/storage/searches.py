"""Find the folder of a search that a user names, and say how MLflow gets a search it lacks."""

from __future__ import annotations

import shlex
from pathlib import Path

from cluster.ledger.newest import find_copies, find_newest
from cluster.ledger.settings import FILE, read_id, read_settings
from cluster.storage.redaction import redact_address
from cluster.storage.storage import Storage
from trainables.errors import UserError


def find_folder(storage: Storage, name: str) -> Path:
    """Return the folder of a search, by name or id, or of a space's newest; raises UserError."""
    folder = storage.folder / name
    newest = find_newest(storage.folder, name)
    if newest is not None or (folder / FILE).is_file():
        return newest or folder
    files = sorted(storage.folder.glob(f"*/{FILE}"))
    copies = find_copies(storage.folder)
    for file in files:
        if read_id(file) == name:
            return copies.get(file.parent, file.parent)
    known = ", ".join(file.parent.name for file in files[:20]) or "none"
    raise UserError(
        f"there is no search {name!r} in {storage}, which has: {known}\n"
        "name one of these, or another storage with --storage"
    )


def describe_missing(storage: Storage, name: str) -> str:
    """Return what to do where MLflow lacks a search; nothing where the storage has none either."""
    try:
        folder = find_folder(storage, name)
        recorded = read_settings(folder).tracking_uri
    except UserError:
        return ""
    if (uri := storage.find_tracking_uri(recorded)) != storage.tracking_uri:
        return f"{folder} was written elsewhere: add --tracking-uri {shlex.quote(uri)}"
    given = storage.user_tracking_uri
    command = format_rebuild(folder, redact_address(given) if given else "")
    return f"{folder} has a search that MLflow lacks; write it again: {command}"


def format_rebuild(folder: Path, uri: str) -> str:
    """Return the command that writes a search to MLflow again, by default where it was written."""
    words = ["python", "-m", "cluster.tracking", "rebuild", str(folder)]
    return shlex.join([*words, *(["--tracking-uri", uri] if uri else [])])
