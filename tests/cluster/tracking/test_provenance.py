"""What a search was run with: command, commit, versions, machine and data."""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.tracking import provenance
from searchspaces.space import SearchSpace
from trainables.predictor import GroundTruth


def test_the_provenance_names_code_data_and_machine(space: SearchSpace[Any]) -> None:
    truth = GroundTruth(source="synthetic", fingerprint="abc", classes=("a", "b"))
    known = provenance.collect_provenance(space, truth)
    assert known["question"] == space.question
    assert known["space_file"] == space.file
    assert (known["source"], known["data_fingerprint"]) == ("synthetic", "abc")
    assert json.loads(known["classes"]) == ["a", "b"]
    assert json.loads(known["versions"])["python"] == platform.python_version()
    assert "CPU cores" in known["hardware"]
    assert "own_data" not in known
    own = provenance.collect_provenance(space, GroundTruth(is_own=True))
    assert own["own_data"] == "yes"  # published results are not compared with it
    assert all(isinstance(value, str) and value for value in known.values())


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:p@ss@host:1/a@b", "http://***@host:1/a@b"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("http://host/a@b", "http://host/a@b"),
        ("postgresql://h/d?password=x", "postgresql://h/d?password=***"),
    ],
)
def test_the_command_is_written_without_credentials(
    text: str, clean: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["tune.py", "--tracking-uri", text])
    command = provenance.describe_command()
    assert clean in command
    assert (text in command) == (text == clean)


def test_without_git_there_is_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", fail)
    assert provenance.find_commit(Path(__file__)) == ""


def test_the_commit_is_that_of_the_users_repository(tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path)]
    mine, other = tmp_path / "mine.py", tmp_path / "other.py"
    mine.write_text("x = 1\n")
    assert provenance.find_commit(mine) == ""  # there is no repository yet
    for words in (["init", "-q"], ["add", "mine.py"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *words], check=True)
    head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    assert provenance.find_commit(mine) == head.stdout[:12]
    other.write_text("")
    assert provenance.find_commit(other) == ""
    mine.write_text("x = 2\n")
    assert provenance.find_commit(mine) == f"{head.stdout[:12]}+"
    assert provenance.find_commit(tmp_path / "gone" / "cell.py") == ""  # a notebook's


@pytest.mark.parametrize(("status", "expected"), [("", "abc123"), (" M file.py", "abc123+")])
def test_changed_files_mark_the_commit(
    status: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = {"rev-parse": "abc123", "ls-files": "provenance.py", "status": status}
    monkeypatch.setattr(provenance, "_git", lambda folder, *words: answers[words[0]])
    assert provenance.find_commit(Path(__file__)) == expected


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "PACKAGES", ("torch", "no-such-package"))
    versions = provenance.list_versions()
    assert versions["no-such-package"] == "not installed"
    assert versions["torch"][0].isdigit()
