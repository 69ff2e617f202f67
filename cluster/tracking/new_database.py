"""Create the database of MLflow as a copy of an empty one, made once per machine and version.

MLflow makes its tables in some sixty steps, each flushed to disk: seconds, on a busy disk many.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.storage.database_file import format_database_uri
from trainables.cache import get_or_build
from trainables.errors import UserError

NAME = "empty.db"


def copy_empty_database(path: Path) -> None:
    """Create a database, unless the cache cannot be used: then MLflow creates it when it opens it.

    One without content is left to MLflow, too: another program may have it open. Raises OSError
    where it cannot be written.
    """
    if path.exists():
        return
    from trainables.environment import default_cache  # imports torch

    key = {"mlflow": importlib.metadata.version("mlflow")}
    try:
        original = get_or_build(default_cache(), "mlflow", key, _build) / NAME
    except (UserError, OSError, MlflowException):
        return
    if not _is_sound(original):
        return
    path = path.resolve()  # a link to another disk stays one
    draft = path.with_name(f".{path.name}.draft")
    try:
        shutil.copyfile(original, draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _build(folder: Path) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    event.listen(Engine, "connect", _flush_nothing)
    try:
        client = MlflowClient(format_database_uri(folder / NAME))
        client.search_experiments(max_results=1)
    finally:
        event.remove(Engine, "connect", _flush_nothing)


def _flush_nothing(connection: Any, _: object) -> None:
    if isinstance(connection, sqlite3.Connection):  # the cache flushes the whole file once
        connection.execute("PRAGMA synchronous = OFF")


def _is_sound(path: Path) -> bool:
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True)) as connection:
            found: tuple[str] = connection.execute("PRAGMA quick_check").fetchone()
            return found == ("ok",)
    except sqlite3.Error:
        return False
