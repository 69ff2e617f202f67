"""Check the SQLite file of MLflow before it is opened, and let its artifacts follow it.

MLflow stores absolute addresses of artifacts. Those of a storage lie beside its database: when
the storage has been moved or copied, the addresses are rewritten to where it is now.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import filelock

from cluster.ledger.settings import read_id
from cluster.storage.database_file import artifact_location, format_database_uri
from trainables.errors import AbsentError, UserError
from trainables.invocation import format_command

CREATION = 300.0
"""Seconds in which another process must have created its tables, on a busy machine."""
BUSY = 10.0
"""Seconds for which a lock of another program is waited for."""
LONGEST_PATH = 512 - len("-journal")
"""Bytes of a path that SQLite opens (`MAX_PATHNAME` in its os_unix.c), with its journal's."""
ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Tables and columns of MLflow with addresses of artifacts."""
TABLES = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT GLOB 'sqlite_*'"
ELSEWHERE = "name another one with --storage DIR or --tracking-uri URI"
DAMAGED = (
    "restore a copy of it, or move it away and write its searches again, each with:\n"
    "  python -m cluster.tracking rebuild FOLDER"
)


@contextlib.contextmanager
def lock_database(path: Path, read_only: bool) -> Iterator[None]:
    """Keep other processes from opening a database meanwhile: MLflow creates tables unprotected.

    Reads a folder that cannot be written to without a lock. Raises UserError.
    """
    if not read_only:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _fail(path, error.strerror or str(error), ELSEWHERE) from error
    lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
    try:
        lock.acquire(timeout=CREATION)
    except filelock.Timeout:
        reason = f"another process has been opening it for {CREATION:.0f} s"
        raise _fail(path, reason, "end that process, or wait for it") from None
    except OSError as error:
        if not read_only:
            raise _fail(path, error.strerror or str(error), ELSEWHERE) from error
        yield
        return
    try:
        yield
    finally:
        lock.release()


def check_path(path: Path) -> None:
    """Raise UserError where SQLite cannot open a path because of its length."""
    length = len(os.fsencode(path.resolve()))
    if length > LONGEST_PATH:
        reason = f"its path has {length} bytes, and SQLite takes {LONGEST_PATH}"
        raise _fail(path, reason, f"use a shorter path: {ELSEWHERE}")


def check_exists(path: Path) -> None:
    """Raise AbsentError where there is no database."""
    if not path.exists():
        raise AbsentError(
            f"there is no database at {path}\n"
            f"run a search first ({format_command('tune')} --space NAME), or name the storage of "
            "a search with --storage DIR or --tracking-uri URI"
        )


def check_database(path: Path, read_only: bool) -> None:
    """Raise UserError where a database cannot be opened; one to write to may be missing."""
    if path.exists() and not path.is_file():
        raise _fail(path, "it is a folder, or no regular file", ELSEWHERE)
    denied = [place for place in (path, path.parent) if not os.access(place, os.W_OK)]
    if not read_only and denied and path.exists():
        raise _fail(path, f"{denied[0]} cannot be written to", ELSEWHERE)
    if is_empty(path) and not read_only:
        return
    try:
        if _is_truncated(path):
            raise _fail(path, "it is damaged: its end is missing", DAMAGED)
        with contextlib.closing(_connect(path, "ro" if read_only else "rw")) as connection:
            tables = [name for (name,) in connection.execute(TABLES)]
            if tables and not _has_column(connection, "experiments", "artifact_location"):
                names = ", ".join(tables[:3])
                raise _fail(path, f"another program has written it (tables: {names})", ELSEWHERE)
            if read_only:
                connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchall()
            else:
                connection.execute("BEGIN IMMEDIATE")
                connection.rollback()
    except (sqlite3.Error, OSError, ValueError) as error:  # names that are no UTF-8
        raise _fail(path, str(error), _advise(str(error))) from error


def explain_failure(path: Path, error: Exception | None, seconds: float) -> UserError:
    """Return the message for a database that MLflow could not open."""
    if error is None:
        return _fail(path, f"no answer within {seconds:.0f} s", "the machine is busy: try again")
    text = str(error).split("\n")[0]
    schema = re.search(r"found version (\w+)|identified by '(\w+)'", text)
    if schema is None:
        return _fail(path, text[:300], _advise(text))
    import mlflow

    versions = Path(mlflow.__file__).parent / "store" / "db_migrations" / "versions"
    revision = schema[1] or schema[2]
    if any(versions.glob(f"{revision}_*.py")):
        address = format_database_uri(path)
        advice = f"copy the file, then bring it up to date: mlflow db upgrade '{address}'"
        return _fail(path, f"an older MLflow has written it (schema {revision})", advice)
    reason = f"a newer MLflow has written it (schema {revision}; here is {mlflow.__version__})"
    return _fail(path, reason, "update MLflow: pip install -U mlflow")


def is_empty(path: Path) -> bool:
    """Return whether a database has yet to be created."""
    return not path.exists() or path.stat().st_size == 0


def follow_database(path: Path, is_new: bool = False) -> Path:
    """Rewrite the addresses of artifacts that were moved or copied with their database.

    Returns the path of the database, or that of a copy with the right addresses where it cannot
    be written to.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    try:
        with contextlib.closing(_connect(path, "rw" if writable else "ro")) as db:
            changes = _list_changes(db, path, is_new)
            if changes and writable:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    _rewrite(db, changes)
        if not changes or writable:
            return path
        folder = Path(tempfile.mkdtemp(prefix="tunery-mlflow-"))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        copy = Path(shutil.copyfile(path, folder / "mlflow.db"))
        with contextlib.closing(_connect(copy, "rw")) as db:
            _rewrite(db, changes)
        return copy
    except (sqlite3.Error, OSError, ValueError) as error:  # names that are no UTF-8
        raise _fail(path, str(error), _advise(str(error))) from error


def format_read_only_uri(path: Path) -> str:
    """Return an address at which MLflow cannot write."""
    return f"sqlite+pysqlite:///{path.resolve().as_uri()}?mode=ro&uri=true"


def _list_changes(db: sqlite3.Connection, path: Path, is_new: bool) -> dict[str, str]:
    """Return the new address of every folder of artifacts that has another one now."""
    if not _has_column(db, "experiments", "artifact_location"):
        return {}
    here = artifact_location(format_database_uri(path)) or ""
    is_storage = is_new or any(path.parent.glob("*/search.json"))
    found = db.execute("SELECT DISTINCT artifact_location FROM experiments").fetchall()
    changes = {}
    for location in (text for (text,) in found if text and text != here):
        old = _to_path(location)
        if old is not None and old.name == "artifacts":
            query = "SELECT run_uuid FROM runs WHERE substr(artifact_uri, 1, ?) = ?"
            names = [name for (name,) in db.execute(query, [len(location) + 1, f"{location}/"])]
            is_here = any((path.parent / "artifacts" / name).exists() for name in names)
            is_there = any((old / name).exists() for name in names)
            is_ours = _has_search_of(db, location, path.parent)
            is_copy = _is_copy(path, old.parent / path.name) and _has_search(db, location)
            if is_here or is_copy or (is_storage and (is_ours or not is_there)):
                changes[location] = here
        # MLflow's experiment 0 is created with the tables, below the folder of the process.
        elif is_storage and location.endswith("/mlruns/0") and not _count_runs(db, location):
            changes[location] = here
    return changes


def _has_search_of(db: sqlite3.Connection, location: str, storage: Path) -> bool:
    """Return whether a search of a storage has its artifacts at a location.

    Those of a copy belong beside the copy, even where the original has them still.
    """
    ids = [read_id(file) for file in storage.glob("*/search.json")]
    query = "SELECT 1 FROM tags JOIN runs USING (run_uuid) WHERE key = 'search' AND value = ?"
    query += " AND substr(artifact_uri, 1, ?) = ?"
    found = (db.execute(query, [own, len(location) + 1, f"{location}/"]) for own in ids if own)
    return any(row.fetchone() for row in found)


def _is_copy(path: Path, original: Path) -> bool:
    """Return whether a database is a copy, made without its artifacts, of one that exists."""
    return original.is_file() and not original.samefile(path)


def _has_search(db: sqlite3.Connection, location: str) -> bool:
    query = "SELECT 1 FROM tags JOIN runs USING (run_uuid) WHERE key = 'search'"
    query += " AND substr(artifact_uri, 1, ?) = ? LIMIT 1"
    return db.execute(query, [len(location) + 1, f"{location}/"]).fetchone() is not None


def _count_runs(db: sqlite3.Connection, location: str) -> int:
    query = "SELECT COUNT(*) FROM runs JOIN experiments USING (experiment_id)"
    (count,) = db.execute(f"{query} WHERE artifact_location = ?", [location]).fetchone()
    return int(count)


def _rewrite(db: sqlite3.Connection, changes: dict[str, str]) -> None:
    for table, column in ADDRESSES:
        if _has_column(db, table, column):
            for old, new in changes.items():
                db.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                    f"WHERE {column} = ? OR substr({column}, 1, ?) = ?",
                    [new, len(old) + 1, old, len(old) + 1, f"{old}/"],
                )


def _has_column(db: sqlite3.Connection, table: str, column: str) -> bool:
    return column in [row[1] for row in db.execute(f"PRAGMA table_info({table})")]


def _to_path(location: str) -> Path | None:
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return Path(location) if location.startswith("/") else None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=BUSY, isolation_level=None)


def _is_truncated(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return False  # SQLite itself says what it is
    page = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    is_valid = header[24:28] == header[92:96]  # else an old SQLite has not kept the number
    return is_valid and path.stat().st_size < pages * (65536 if page == 1 else page)


def _advise(reason: str) -> str:
    if "locked" in reason:
        return "another program has it open: end that program, or wait for it"
    return DAMAGED if "malformed" in reason else ELSEWHERE


def _fail(path: Path, reason: str, advice: str) -> UserError:
    return UserError(f"cannot open the MLflow database {path}: {reason}\n{advice}")
