"""A folder of the user that is called like a package is found, and told before it is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from trainables.shadowing import PACKAGES, find_shadows


def test_own_folders_and_modules_are_found(tmp_path: Path) -> None:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "__init__.py").touch()
    (tmp_path / "searchspaces").mkdir()
    (tmp_path / "reports").mkdir()  # documents, and no package
    (tmp_path / "trainables.py").touch()
    names = {path.name for path in find_shadows(tmp_path)}
    assert names == {"cluster", "searchspaces", "trainables.py"}
    assert find_shadows(ROOT) == []


@pytest.mark.parametrize("module", ["trainables.tune", "reports"])
def test_python_m_tells_which_folder_is_in_the_way(tmp_path: Path, module: str) -> None:
    (tmp_path / "searchspaces").mkdir()
    (tmp_path / "searchspaces" / "__init__.py").write_text("raise SystemExit('imported')")
    path = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env=path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert f"{tmp_path / 'searchspaces'} hides Tunery's package searchspaces" in done.stderr
    assert "use the command tunery" in done.stderr


def test_the_command_imports_the_installed_packages_all_the_same(tmp_path: Path) -> None:
    for name in PACKAGES:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('imported')")
    # As the console script starts: its own folder is on the path, but not the working directory.
    program = (
        f"import sys; sys.path[0] = {str(ROOT)!r}; from trainables.command.app import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    assert "digits" in done.stdout
