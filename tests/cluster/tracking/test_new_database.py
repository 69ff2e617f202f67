"""A new database is a copy of an empty one, which is made once."""

from __future__ import annotations

import contextlib
import re
import shutil
import sqlite3
from pathlib import Path

import pytest

from cluster.storage.database_file import format_database_uri
from cluster.tracking import new_database
from cluster.tracking.client import find_experiment, open_client
from cluster.tracking.new_database import NAME, copy_empty_database


@pytest.fixture
def template(empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let a copy of an empty database be what the cache would build, and return the cache."""

    def build(folder: Path) -> None:
        shutil.copy(empty_database, folder / NAME)

    monkeypatch.setattr(new_database, "_build", build)
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def read_schema(path: Path) -> list[object]:
    """Return the version and, of every table and index, its lines, which MLflow writes anyhow."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        version = connection.execute("SELECT * FROM alembic_version").fetchall()
        found = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    lines = [(name, sorted(re.split(r"[\n,]\s*", sql or ""))) for name, sql in found]
    return [*version, *lines]


def test_the_empty_database_is_the_one_that_mlflow_makes(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path / "cache"))
    copy_empty_database(tmp_path / "new.db")
    assert read_schema(tmp_path / "new.db") == read_schema(empty_database)
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "new.db"}


@pytest.mark.usefixtures("template")
def test_artifacts_of_a_copy_lie_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "mlflow.db"
    client = open_client(format_database_uri(path))
    experiment = client.get_experiment(find_experiment(client, "mine"))
    assert experiment.artifact_location == (path.parent / "artifacts").resolve().as_uri()
    default = client.get_experiment("0").artifact_location
    assert default == experiment.artifact_location


def test_a_damaged_original_is_not_copied(template: Path, tmp_path: Path) -> None:
    copy_empty_database(tmp_path / "first.db")
    (original,) = template.glob(f"mlflow-*/{NAME}")
    original.write_bytes(b"SQLite format 3\0 and no more")
    copy_empty_database(tmp_path / "second.db")
    assert not (tmp_path / "second.db").exists()


def test_without_a_cache_nothing_is_copied(template: Path, tmp_path: Path) -> None:
    template.write_text("a file")
    copy_empty_database(tmp_path / "new.db")
    assert not (tmp_path / "new.db").exists()
