"""Addresses of SQLite files in folders with any name."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from cluster.storage.database_file import (
    artifact_location,
    format_database_uri,
    is_database_file,
    parse_database_path,
)
from trainables.errors import UserError

NAMES = [
    *("runs", "a?b", "50%41", "a%20b", "%", "?uri=true", "a#b", "a b", " a ", "it's", 'say "x"'),
    *("a:b", "a;b", "a&b=c", "x:y@z", "a\\b", "a\nb", "[v2]", "$HOME", "{x}", "~", "-x", "<b>"),
    *("\u00fc\u65e5\u672c\U0001f600", "file:x"),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_database_lies_where_its_path_says(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "mlflow.db"
    path.parent.mkdir()
    uri = format_database_uri(path)
    assert is_database_file(uri)
    assert parse_database_path(uri) == path
    assert make_url(uri).database == str(path)
    engine = create_engine(uri)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE here (x)"))
    engine.dispose()
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("here",)]
    connection.close()
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_an_ordinary_path_is_in_the_address_as_it_is() -> None:
    assert format_database_uri(Path("/my runs/mlflow.db")) == "sqlite:////my runs/mlflow.db"
    assert parse_database_path("sqlite:///x.db?timeout=5") == Path("x.db")


def test_a_path_that_no_address_can_have_is_rejected() -> None:
    with pytest.raises(UserError, match="not valid UTF-8"):
        format_database_uri(Path(os.fsdecode(b"/runs\xff/mlflow.db")))


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_in_memory_is_rejected(uri: str) -> None:
    with pytest.raises(UserError, match="does not name a file"):
        parse_database_path(uri)


def test_artifacts_of_a_database_lie_beside_it_and_those_of_a_server_with_the_server(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a?b" / "mlflow.db"
    expected = (tmp_path / "a?b" / "artifacts").as_uri()
    assert artifact_location(format_database_uri(path)) == expected
    assert artifact_location("http://127.0.0.1:5000") is None
