"""The storage that the options or the environment name."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from cluster.storage.location import Location
from cluster.storage.storage import (
    Storage,
    add_storage_arguments,
    list_storage_options,
    open_storage,
)
from trainables.errors import UserError


def test_the_default_is_a_folder_with_its_own_database() -> None:
    storage = open_storage()
    assert storage == Storage(Path("runs").absolute(), None, None)
    assert storage.tracking_uri == f"sqlite:///{Path('runs').resolve() / 'mlflow.db'}"
    assert str(storage) == "runs"


def test_a_folder_stays_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    local, remote = open_storage("mine"), open_storage("gs://b")
    assert (local.folder, remote.folder.parent) == (tmp_path / "mine", tmp_path / "runs")
    assert (str(local), str(remote)) == ("mine", "gs://b")


def test_options_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_STORAGE", "s3://bucket/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    storage = open_storage()
    assert storage.remote == Location("s3://bucket/x")
    assert storage.tracking_uri == storage.user_tracking_uri == "http://server:5000"
    assert str(storage) == "s3://bucket/x"
    assert open_storage("mine", "http://b") == Storage(Path("mine").absolute(), None, "http://b")


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNERY_STORAGE", "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    assert open_storage() == Storage(Path("runs").absolute(), None, None)


@pytest.mark.parametrize("uri", ["s3://b/../../x", "s3://b/x?region=eu", "file:///", "gs://b"])
def test_every_remote_storage_has_a_folder_of_its_own_below_runs(uri: str) -> None:
    storage = open_storage(uri)
    assert storage.folder.parent == Path("runs").absolute()
    assert ".." not in storage.folder.name
    assert storage.remote == Location(uri)
    assert storage.folder != open_storage(uri + "y").folder
    assert storage.folder == open_storage(uri).folder
    assert open_storage("some/folder") == Storage(Path("some/folder").absolute())


@pytest.mark.parametrize(
    "uri", ["s3://me:planted@b/x", "abfs://:planted@b/x", "s3://b/x?secret_key=planted"]
)
def test_credentials_in_the_uri_are_rejected_and_not_repeated(uri: str) -> None:
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID") as error:
        open_storage(uri)
    assert "planted" not in str(error.value)


def test_the_arguments_are_those_of_open_storage(monkeypatch: pytest.MonkeyPatch) -> None:
    parser = argparse.ArgumentParser()
    add_storage_arguments(parser)
    arguments = parser.parse_args(["--storage", "mine", "--tracking-uri", "http://b"])
    storage = open_storage(arguments.storage, arguments.tracking_uri)
    assert storage == Storage(Path("mine").absolute(), None, "http://b")
    assert vars(parser.parse_args([])) == {"storage": None, "tracking_uri": None}


def test_what_a_search_records_of_its_server_follows_the_storage(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    default = Storage(here)
    assert default.recorded_tracking_uri == ""
    assert default.find_tracking_uri("") == default.default_tracking_uri
    assert Storage(there).find_tracking_uri("") == f"sqlite:///{there / 'mlflow.db'}"
    named = open_storage(str(here), default.default_tracking_uri)
    assert named.recorded_tracking_uri == ""
    inside = open_storage(str(here), f"sqlite:///{here / 'other.db'}")
    assert inside.recorded_tracking_uri == "sqlite:///other.db"
    assert Storage(there).find_tracking_uri("sqlite:///other.db") == (
        f"sqlite:///{there / 'other.db'}"
    )
    server = open_storage(str(here), "http://me:planted@server:5000")
    assert server.recorded_tracking_uri == "http://***@server:5000"
    for uri in ("http://server:5000", "sqlite:////data/mlflow.db", "postgresql://host/x"):
        assert Storage(there).find_tracking_uri(uri) == uri
        assert open_storage(str(there), "http://mine").find_tracking_uri(uri) == "http://mine"


def test_a_relative_database_of_the_user_does_not_depend_on_the_folder_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_storage(None, "sqlite:///x.db").tracking_uri == f"sqlite:///{tmp_path / 'x.db'}"


def test_a_path_in_the_home_folder_is_read_as_in_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither quotes nor a service nor a container expand `~`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TUNERY_STORAGE", "~/runs")
    assert open_storage().folder == tmp_path / "runs"
    assert open_storage("~/mine").folder == tmp_path / "mine"
    assert open_storage(None, "sqlite:///~/x.db").tracking_uri == f"sqlite:///{tmp_path / 'x.db'}"
    with pytest.raises(UserError, match="--storage: '~nobody-of-this-name/x': no home folder"):
        open_storage("~nobody-of-this-name/x")


@pytest.mark.parametrize("storage", ["a\0b", "file:///a\0b"])
def test_a_folder_that_cannot_exist_is_rejected(storage: str) -> None:
    with pytest.raises(UserError, match="NUL"):
        open_storage(storage)


@pytest.mark.parametrize(
    ("variable", "storage", "options"),
    [
        ("", "runs", []),
        ("", "./runs/", []),
        ("", "-x", ["--storage=-x"]),
        ("mine", "mine", []),
        ("mine", "runs", ["--storage", "runs"]),
        ("nosuch://b", "runs", ["--storage", "runs"]),
    ],
)
def test_a_printed_command_names_the_storage_unless_it_is_the_default(
    monkeypatch: pytest.MonkeyPatch, variable: str, storage: str, options: list[str]
) -> None:
    opened = open_storage(storage)
    monkeypatch.setenv("TUNERY_STORAGE", variable)
    assert list_storage_options(opened) == options
