"""Addresses of SQLite files, as SQLAlchemy and MLflow read them, and where their artifacts lie."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from trainables.errors import UserError

PREFIX = "sqlite:///"
ESCAPED_PREFIX = "sqlite+pysqlite:///"
"""The same database; MLflow takes the text behind the plain prefix for a path as it is."""


def is_database_file(uri: str) -> bool:
    """Return whether an address names a SQLite file."""
    return uri.startswith(("sqlite:", "sqlite+"))


def format_database_uri(path: Path) -> str:
    """Return the address of a SQLite file; raises UserError for a path that has none.

    SQLAlchemy reads `?` as the start of options and `%41` as a letter: a path with one of the two
    is percent-encoded. A relative path stays relative.
    """
    text = str(path)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UserError(
            f"the path {text!a} is not valid UTF-8\nchoose another folder with --storage DIR"
        ) from None
    if "%" not in text and "?" not in text:
        return PREFIX + text
    uri = ESCAPED_PREFIX + quote(text, safe="/")
    if parse_database_path(uri) != path:  # SQLAlchemy before 2.1 has no such encoding
        raise UserError(
            f"the path {text!r} contains % or ?, which needs SQLAlchemy 2.1\n"
            "choose another folder with --storage DIR, or pip install -U sqlalchemy"
        )
    return uri


def parse_database_path(uri: str) -> Path:
    """Return the path in the address of a SQLite file; raises UserError where it has none."""
    text = uri.partition(":///")[2].partition("?")[0]
    if "%" in text:
        from sqlalchemy.engine import make_url  # takes 100 ms, which few paths need

        text = make_url(uri).database or ""
    if not text or text == ":memory:" or "\0" in text:
        raise UserError(
            f"{uri!r} does not name a file\ngive --tracking-uri {PREFIX}/path/to/mlflow.db"
        )
    return Path(text)


def artifact_location(tracking_uri: str) -> str | None:
    """Return where new experiments keep their artifacts; None: the server decides.

    Those of a SQLite file lie beside it, in the folder `artifacts`, so that both move together.
    """
    if not is_database_file(tracking_uri):
        return None
    folder = parse_database_path(tracking_uri).absolute().parent
    return (folder.resolve() / "artifacts").as_uri()
