"""Where reports look for a search: the options, variables and addresses that `tune` takes."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.storage.storage import open_storage
from reports.__main__ import main

Write = Callable[..., str]
Trials = list[dict[str, Any]]


@pytest.fixture
def elsewhere(
    write_search: Write, some_trials: Trials, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """Two searches in `runs` below a folder that is not the current one."""
    write_search(some_trials[:2])
    write_search(some_trials[:3], {"search_name": "digits-2"})
    monkeypatch.delenv("TUNERY_STORAGE", raising=False)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "runs"


def point_to_storage(storage: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TUNERY_STORAGE", str(storage))
    return []


def point_to_server(storage: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TUNERY_STORAGE", str(storage / "not used"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{storage / 'mlflow.db'}")
    return []


def name_bucket(storage: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Name a bucket, whose database lies in this folder as a driver leaves it."""
    uri = (storage.parent / "bucket").as_uri()
    shutil.copytree(storage, open_storage(uri).folder)
    return ["--storage", uri]


def name_bucket_by_variable(storage: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("TUNERY_STORAGE", name_bucket(storage, monkeypatch)[1])
    return []


WAYS = [point_to_storage, point_to_server, name_bucket, name_bucket_by_variable]


@pytest.mark.parametrize("point", WAYS)
def test_a_report_and_a_comparison_find_the_search(
    point: Callable[[Path, pytest.MonkeyPatch], list[str]],
    elsewhere: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = point(elsewhere, monkeypatch)
    out = tmp_path / "out"
    assert main(["digits", "--no-log", "--out", str(out), *options]) == 0
    assert "This search ran 3 trials" in (out / "report.md").read_text()
    assert main(["compare", "digits", "digits-2", "--out", str(out), *options]) == 0
    assert "2 searches compared" in (out / "compare.md").read_text()


def test_options_win_over_variables(
    elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNERY_STORAGE", str(tmp_path / "none"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    uri = f"sqlite:///{elsewhere / 'mlflow.db'}"
    out = ["--no-log", "--out", str(tmp_path / "out")]
    assert main(["digits", "--tracking-uri", uri, *out]) == 0
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert main(["digits", "--storage", str(elsewhere), *out]) == 0


@pytest.mark.parametrize(
    "command",
    [
        ["digits"],
        ["compare", "digits", "digits-2"],
        ["ensemble", "digits", "--members", "0", "1"],
        ["export", "digits"],
        ["predict", "digits"],
        ["sample", "digits"],
    ],
)
def test_every_command_names_the_database_that_is_missing(
    command: list[str],
    elsewhere: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    picture = ["picture.png"] if command[0] == "predict" else []
    uri = "s3://bucket/searches"
    monkeypatch.setenv("TUNERY_STORAGE", uri)
    assert main([*command, *picture]) == 2
    error = capsys.readouterr().err
    assert str(open_storage(uri).folder / "mlflow.db") in error
    assert "Traceback" not in error
    assert list(Path.cwd().iterdir()) == []


def test_an_address_with_a_password_is_an_error_without_it(
    elsewhere: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["digits", "--storage", "s3://key:planted@bucket/searches"]) == 2
    error = capsys.readouterr().err
    assert "contains credentials" in error
    assert "planted" not in error
