"""The database of a storage: moved, copied, opened by many, or not to be opened."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cluster.storage.database_file import format_database_uri
from cluster.tracking import database
from cluster.tracking.client import find_experiment, open_client
from tests.support.paths import ROOT
from trainables.errors import UserError
from trainables.integrity import encode_json

Make = Callable[[Path], MlflowClient]


@pytest.fixture
def make_storage(empty_database: Path) -> Make:
    """Return a function that writes a storage with a run and its artifact."""

    def make(folder: Path) -> MlflowClient:
        (folder / "toy").mkdir(parents=True)
        (folder / "toy" / "search.json").write_text("{}")
        shutil.copy(empty_database, folder / "mlflow.db")
        client = open_client(format_database_uri(folder / "mlflow.db"))
        add_run(client)
        return client

    return make


def deny_access(monkeypatch: pytest.MonkeyPatch, *places: Path) -> None:
    """Let the tests' user, who may be root, be told that it must not write there."""
    allowed = os.access
    monkeypatch.setattr(
        os, "access", lambda path, mode: Path(path) not in places and allowed(path, mode)
    )


def add_run(client: MlflowClient) -> str:
    run = client.create_run(find_experiment(client, "toy")).info.run_id
    client.log_text(run, run, "data/x.txt")
    return str(run)


def read_texts(client: MlflowClient, scratch: Path) -> dict[str, str]:
    """Return the artifact of every run of the experiment `toy`, by the run's id."""
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = [run.info.run_id for run in client.search_runs([experiment.experiment_id])]
    texts = {}
    for run in runs:
        (scratch / run).mkdir(parents=True)
        path = client.download_artifacts(run, "data/x.txt", str(scratch / run))
        texts[run] = Path(path).read_text()
    return texts


def test_artifacts_follow_a_storage_that_is_moved(make_storage: Make, tmp_path: Path) -> None:
    old, new = tmp_path / "a?b", tmp_path / "50%41 #"
    make_storage(old)
    shutil.move(old, new)
    client = open_client(format_database_uri(new / "mlflow.db"))
    run = add_run(client)
    texts = read_texts(client, tmp_path / "scratch")
    assert len(texts) == 2
    assert all(text == name for name, text in texts.items())
    assert (new / "artifacts" / run).is_dir()
    assert not old.exists()


def test_a_copy_keeps_its_own_artifacts(make_storage: Make, tmp_path: Path) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    make_storage(original)
    shutil.copytree(original, copy)
    uri = format_database_uri(copy / "mlflow.db")
    run = add_run(open_client(uri))
    assert (copy / "artifacts" / run).is_dir()
    assert not (original / "artifacts" / run).exists()
    shutil.rmtree(original)
    assert len(read_texts(open_client(uri, read_only=True), tmp_path / "scratch")) == 2


def test_a_copy_without_its_artifacts_leaves_the_original_alone(
    make_storage: Make, tmp_path: Path
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    client = make_storage(original)
    (original / "toy" / "search.json").write_text(encode_json({"id": "toy-1234"}))
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    client.set_tag(run.info.run_id, "search", "toy-1234")
    shutil.copytree(original, copy)
    shutil.rmtree(copy / "artifacts")
    own = open_client(format_database_uri(copy / "mlflow.db"))
    assert own.get_run(run.info.run_id).info.artifact_uri.startswith(copy.as_uri())
    other = open_client(format_database_uri(original / "mlflow.db"))
    assert other.get_run(run.info.run_id).info.artifact_uri.startswith(original.as_uri())


def test_a_copy_of_the_database_alone_leaves_the_original_alone(
    make_storage: Make, tmp_path: Path
) -> None:
    original, copy = tmp_path / "original", tmp_path / "copy"
    client = make_storage(original)
    experiment = find_experiment(client, "toy")
    run = client.create_run(experiment, tags={"search": "toy-1"})
    copy.mkdir()
    shutil.copy(original / "mlflow.db", copy)
    own = open_client(format_database_uri(copy / "mlflow.db"))
    assert own.get_run(run.info.run_id).info.artifact_uri.startswith(copy.as_uri())
    # Moved, it still finds the artifacts that have stayed.
    moved = tmp_path / "moved" / "mlflow.db"
    moved.parent.mkdir()
    shutil.move(original / "mlflow.db", moved)
    there = open_client(format_database_uri(moved)).get_run(run.info.run_id).info
    assert there.artifact_uri.startswith(original.as_uri())


def test_a_report_reads_a_moved_storage_that_it_cannot_write_to(
    make_storage: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_storage(tmp_path / "old")
    shutil.move(tmp_path / "old", tmp_path / "new")
    path = tmp_path / "new" / "mlflow.db"
    before = path.read_bytes()
    deny_access(monkeypatch, path, path.parent)
    client = open_client(format_database_uri(path), read_only=True)
    assert len(read_texts(client, tmp_path / "scratch")) == 1
    with pytest.raises(Exception, match="readonly"):
        client.create_experiment("another")
    assert path.read_bytes() == before


def test_artifacts_elsewhere_stay_where_they_are(
    make_storage: Make, empty_database: Path, tmp_path: Path
) -> None:
    path = tmp_path / "shared" / "mlflow.db"
    path.parent.mkdir()
    shutil.copy(empty_database, path)
    client = open_client(format_database_uri(path))
    place = (tmp_path / "elsewhere" / "artifacts").as_uri()
    experiment = client.create_experiment("toy", artifact_location=place)
    run = client.create_run(experiment).info.run_id
    client.log_text(run, run, "data/x.txt")
    again = open_client(format_database_uri(path))
    assert again.get_experiment(experiment).artifact_location == place
    assert read_texts(again, tmp_path / "scratch") == {run: run}


def test_the_default_experiment_keeps_its_artifacts_in_the_storage(
    make_storage: Make, tmp_path: Path
) -> None:
    make_storage(tmp_path / "runs")
    path = tmp_path / "runs" / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        elsewhere = [str(tmp_path / "cwd" / "mlruns" / "0")]  # where MLflow has put it
        connection.execute(
            "UPDATE experiments SET artifact_location = ? WHERE name = 'Default'", elsewhere
        )
    client = open_client(format_database_uri(path))
    experiment = find_experiment(client, "Default")
    run = client.create_run(experiment).info.run_id
    client.log_text(run, "text", "x.txt")
    assert (tmp_path / "runs" / "artifacts" / run / "artifacts" / "x.txt").is_file()
    assert [path.name for path in tmp_path.iterdir()] == ["runs"]


def test_a_database_that_another_process_is_opening_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "CREATION", 0.2)
    path = tmp_path / "mlflow.db"
    with (
        database.lock_database(path, read_only=False),
        pytest.raises(UserError, match="another process has been opening it"),
    ):
        open_client(format_database_uri(path))


@pytest.mark.slow
def test_three_processes_create_a_database_at_once(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from cluster.tracking.client import find_experiment, open_client\n"
        "client = open_client(sys.argv[1])\n"
        "print(find_experiment(client, 'toy'))"
    )
    uri = format_database_uri(tmp_path / "runs" / "mlflow.db")
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, uri],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    answers = [process.communicate(timeout=100) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], answers
    assert len({out for out, _ in answers}) == 1


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize(
    ("state", "reason"),
    [
        ("folder", "it is a folder"),
        ("text", "file is not a database"),
        ("cut", "it is damaged: its end is missing"),
        ("scrambled", "malformed|not a database"),
        ("newer", "a newer MLflow has written it .schema abcdef123456"),
        ("locked", "locked"),
    ],
)
def test_a_database_that_cannot_be_opened_is_refused_with_the_reason(
    state: str,
    reason: str,
    read_only: bool,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(database, "BUSY", 0.2)
    path = tmp_path / "mlflow.db"
    content = empty_database.read_bytes()
    path.mkdir() if state == "folder" else path.write_bytes(content)
    connection = sqlite3.connect(":memory:" if state == "folder" else path)
    if state == "text":
        path.write_text("no database" * 100)
    elif state == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif state == "scrambled":
        path.write_bytes(content[:100] + b"\xff" * (len(content) - 100))
    elif state == "newer":
        connection.execute("UPDATE alembic_version SET version_num = 'abcdef123456'")
        connection.commit()
    elif state == "locked":
        connection.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    with pytest.raises(
        UserError, match=f"cannot open the MLflow database .*: .*({reason})"
    ) as error:
        open_client(format_database_uri(path), read_only=read_only)
    assert time.monotonic() - start < 15
    assert "start" not in str(error.value)
    connection.close()


def test_a_database_without_permission_is_refused(
    empty_database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_database, path)
    deny_access(monkeypatch, path)
    with pytest.raises(UserError, match=r"mlflow\.db cannot be written to"):
        open_client(format_database_uri(path))
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"Not a directory|File exists"):
        open_client(format_database_uri(tmp_path / "file" / "mlflow.db"))


def test_an_older_schema_is_named_with_the_command_that_updates_it(tmp_path: Path) -> None:
    error = Exception("Detected out-of-date database schema (found version 451aebb31d03, but ...")
    message = str(database.explain_failure(tmp_path / "mlflow.db", error, 1.0))
    assert "an older MLflow has written it (schema 451aebb31d03)" in message
    assert f"mlflow db upgrade 'sqlite:///{tmp_path / 'mlflow.db'}'" in message
    silent = str(database.explain_failure(tmp_path / "mlflow.db", None, 12.0))
    assert "no answer within 12 s\nthe machine is busy: try again" in silent


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("table", ["moz_places (a)", "experiments (a)", "alembic_version (a)"])
def test_a_database_of_another_program_is_left_alone(
    table: str, read_only: bool, tmp_path: Path
) -> None:
    path = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table}")
    content = path.read_bytes()
    with pytest.raises(UserError, match=rf"another program .*tables: {table[:-4]}"):
        open_client(format_database_uri(path), read_only=read_only)
    assert path.read_bytes() == content


def test_a_path_is_refused_only_where_sqlite_takes_none_of_its_length(tmp_path: Path) -> None:
    folder = tmp_path / ("a" * 200) / ("b" * 150)
    rest = database.LONGEST_PATH - len(str(folder)) - len("//mlflow.db")
    for length, is_taken in ((rest, True), (rest + 1, False)):
        path = folder / ("c" * length) / "mlflow.db"
        path.parent.mkdir(parents=True)
        if is_taken:
            database.check_path(path)
            sqlite3.connect(path).close()
        else:
            with pytest.raises(UserError, match="505 bytes, and SQLite takes 504"):
                open_client(format_database_uri(path))
            with pytest.raises(sqlite3.OperationalError):
                sqlite3.connect(path)
