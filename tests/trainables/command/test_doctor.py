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


def test_a_database_that_is_none_and_a_cluster_that_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"no database, but long enough to be looked at" * 50)
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr("cluster.execution.connect.CONNECT_TIMEOUT", 1.0)
    [tracking] = doctor.check_tracking(str(tmp_path))
    assert tracking.state == "fail"
    assert "not a database" in tracking.found
    assert [check.state for check in doctor.check_ray()] == ["ok", "fail"]


def test_a_folder_that_hides_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "searchspaces").mkdir()
    monkeypatch.chdir(tmp_path)
    [check] = doctor.check_folders()
    assert check.state == "warn"
    assert "hides Tunery's package searchspaces" in check.found
