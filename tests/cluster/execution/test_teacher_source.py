"""Teachers come from a run of an earlier search or from a folder, into the cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from cluster.execution.teacher_source import fetch_teacher, resolve_name, upload_teacher
from cluster.storage import replication
from cluster.storage.location import Location
from cluster.tracking.client import find_experiment, open_client
from searchspaces.loading import load_space, load_trained, read_training
from trainables.errors import UserError
from trainables.train import main as train

SMALL = {"width": 16, "depth": 1, "epochs": 1}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that `trainables.train --out` writes."""
    folder = tmp_path_factory.mktemp("train") / "out"
    sets = [word for name, value in SMALL.items() for word in ("--set", f"{name}={value}")]
    assert not train(["--space", "digits", "--reports", "1", "--out", str(folder), *sets])
    return folder


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def logged(uri: str, out: Path, tmp_path: Path) -> Callable[..., str]:
    """Return a function that logs a trial as a search does, and returns the run's address."""

    def log(weights: bool = True, parent: Mapping[str, str] | None = None) -> str:
        client = open_client(uri)
        experiment = find_experiment(client, tmp_path.name)
        tags = {"kind": "search", **(parent or {"space": "digits"})}
        above = client.create_run(experiment, tags=tags).info.run_id
        made = client.create_run(experiment, tags={"mlflow.parentRunId": above, "trial": "0"})
        config = vars(load_space("digits").config()) | SMALL
        for name, value in config.items():
            client.log_param(made.info.run_id, name, str(value))
        if weights:
            client.log_artifacts(made.info.run_id, str(out / "best"), "checkpoint")
        return f"runs:/{made.info.run_id}"

    return log


def predict(folder: Path) -> np.ndarray:
    inputs = np.random.default_rng(0).integers(0, 16, (5, 1, 8, 8), dtype=np.uint8)
    return load_trained(folder)(inputs)


def test_a_run_and_a_folder_are_the_same_model(
    out: Path, uri: str, logged: Callable[..., str], tmp_path: Path
) -> None:
    from_run = fetch_teacher(logged(), uri, tmp_path / "cache")
    copied = fetch_teacher(resolve_name(str(out)), uri, tmp_path / "cache")
    assert (predict(from_run) == predict(out)).all()
    assert (predict(copied) == predict(out)).all()
    assert read_training(from_run / "config.json") == read_training(out / "config.json")


def test_a_run_is_downloaded_once(
    uri: str, logged: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = logged()
    first = fetch_teacher(name, uri, tmp_path / "cache")
    monkeypatch.setattr(MlflowClient, "download_artifacts", lambda *_: pytest.fail("again"))
    assert fetch_teacher(name, "sqlite:////nowhere/gone.db", tmp_path / "cache") == first


def test_a_teacher_that_cannot_be_used_is_rejected_with_the_reason(
    uri: str, logged: Callable[..., str], tmp_path: Path
) -> None:
    open_client(uri)
    own = {"space": "mine", "space_file": "mine.py"}
    for name, expected in (
        ("runs:/nobody", "nobody"),
        (logged(weights=False), "has no weights"),
        (logged(parent=own), "is not one of Tunery's"),
        (str(tmp_path), r"missing .*config.json and .*manifest.json"),
    ):
        with pytest.raises(UserError, match=f"--teacher .*{expected}"):
            fetch_teacher(name, uri, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("teacher-*/"))


def test_a_folder_that_names_code_needs_trust(out: Path, uri: str, tmp_path: Path) -> None:
    teacher = tmp_path / "teacher"
    shutil.copytree(out, teacher)
    (teacher / "config.json").write_text('{"space": "evil.py"}')
    with pytest.raises(UserError, match=r"would execute .*evil\.py(.|\n)*--trust-code"):
        fetch_teacher(str(teacher), uri, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("teacher-*/"))
    trusted = fetch_teacher(str(teacher), uri, tmp_path / "cache", trust_code=True)
    with pytest.raises(UserError, match="--trust-code"):  # the decision is not kept with the copy
        load_trained(trusted)


def test_a_teacher_is_uploaded_once_for_machines_with_another_cache(tmp_path: Path) -> None:
    teacher = tmp_path / "cache" / "teacher-1"
    teacher.mkdir(parents=True)
    (teacher / "config.json").write_text("{}")
    place = Location((tmp_path / "search folder").as_uri()) / "teacher"
    upload_teacher(teacher, place)
    first = replication.read_newest_index(place)
    upload_teacher(teacher, place)
    assert first is not None
    assert replication.read_newest_index(place) == first
    (tmp_path / "full").touch()
    with pytest.raises(
        UserError, match=r"cannot copy the teacher to file://.*full(.|\n)*--resume"
    ):
        upload_teacher(teacher, Location((tmp_path / "full").as_uri()) / "teacher")
