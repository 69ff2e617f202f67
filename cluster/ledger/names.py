"""Check the name of a space: it names a folder of the storage and an experiment of MLflow."""

from __future__ import annotations

import unicodedata

from trainables.errors import UserError

LONGEST = 200
"""Bytes of a name: a file name has at most 255, and numbers and suffixes follow it."""
RESERVED = (
    *("artifacts", "mlflow.db", "mlflow.db-journal", "mlflow.db-wal", "mlflow.db-shm"),
    *("teachers", "ensemble", "export", "compare", "predict", "sample"),
)
"""Tunery's own files and folders in a storage, and the commands of `python -m reports`."""


def check_name(name: str) -> None:
    """Raise UserError for a name that no search can have."""
    if reason := _find_problem(name):
        raise UserError(
            f"a search cannot be called {name[:60]!a}: {reason}\n"
            "a search has the name of its space file: rename the file"
        )


def _find_problem(name: str) -> str:
    if name.strip() in ("", ".", "..") or "/" in name:
        return "it is no name of a folder"
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in name):
        return "it contains a control character, or is not UTF-8"
    if len(name.encode()) > LONGEST:
        return f"it has {len(name.encode())} bytes, and at most {LONGEST} are possible"
    if name.casefold() in RESERVED:
        return "Tunery uses the name itself"
    return ""
