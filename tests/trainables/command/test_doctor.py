"""Every check says what it found; what is missing is told with what to do."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import Result

from trainables.command import doctor
from trainables.command.doctor import GIB, Check


def test_a_machine_that_runs_the_tests_has_no_failure(
    runs: Path, run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    result = run("doctor", "--storage", runs, "--json")
    checks = json.loads(result.output)
    names = {check["name"] for check in checks}
    assert names == {
        *("Python", "packages", "torch", "GPU", "disk", "data", "tracking", "Ray", "folders"),
    }
    assert [check for check in checks if check["state"] == "fail"] == []
    assert result.exit_code == 0


def test_a_failure_gives_exit_code_1_and_what_to_do(
    run: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Check("disk", "fail", "0.1 GiB free", "free some space")
    monkeypatch.setattr(doctor, "check_everything", lambda _: [broken])
    result = run("doctor")
    assert result.exit_code == 1
    assert "fail disk: 0.1 GiB free\n     free some space" in result.output


@pytest.mark.parametrize(("free", "state"), [(0.5, "fail"), (5, "warn"), (50, "ok")])
def test_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: float, state: str
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free * GIB))
    [check] = doctor.check_disk(str(tmp_path / "new" / "runs"))
    assert check.state == state


def test_packages_that_are_missing_or_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = ["nosuchpackage>=1", "rich<1", 'typer<0.0.1; extra == "some"', "pytest>=1"]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: needed)
    found = {check.found.split()[0]: check.state for check in doctor.check_packages()}
    assert found == {"nosuchpackage": "fail", "rich": "fail", "typer": "warn", "3": "ok"}


def test_data_may_be_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "reviews.csv").touch()
    monkeypatch.setenv("TUNERY_DATA", str(tmp_path / "reviews.csv"))
    [check] = doctor._run("data", doctor.check_data)
    assert (check.state, check.found) == ("ok", f"{tmp_path / 'reviews.csv'}: a table")
    monkeypatch.setenv("TUNERY_DATA", str(tmp_path / "absent"))
    [check] = doctor._run("data", doctor.check_data)
    assert check.state == "fail"
    assert check.fix.startswith("give the folder that holds the data")


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("auto", "no cluster runs on this machine"),
        ("ray://127.0.0.1:10001", "through Ray Client"),
        ("127.0.0.1:1", "no Ray cluster answers at RAY_ADDRESS 127.0.0.1:1"),
    ],
)
def test_a_cluster_that_cannot_be_joined(
    monkeypatch: pytest.MonkeyPatch, address: str, found: str
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    monkeypatch.setattr("cluster.execution.connect.CONNECT_TIMEOUT", 1.0)
    monkeypatch.setattr("cluster.execution.connect.find_local_cluster", lambda: None)
    ray, check = doctor._run("Ray", doctor.check_ray)
    assert (ray.state, check.state) == ("ok", "fail")
    assert found in check.found
    assert check.fix


def test_a_database_that_is_none(
    tmp_path: Path,
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database, but long enough to be looked at" * 50)
    [tracking] = doctor._run("tracking", lambda: doctor.check_tracking(str(tmp_path)))
    assert tracking.state == "fail"
    assert "not a database" in tracking.found


def test_a_folder_that_hides_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "searchspaces").mkdir()
    (tmp_path / "reports.py").touch()
    monkeypatch.chdir(tmp_path)
    checks = list(doctor.check_folders())
    assert [check.state for check in checks] == ["warn", "warn"]
    assert "hides Tunery's package searchspaces" in checks[0].found
    assert "hides Tunery's package reports from" in checks[1].found
    assert checks[1].fix.endswith("python -m reports")
