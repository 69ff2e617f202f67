"""Ray's token is never readable by other users, and is never replaced."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cluster.execution.auth_token import ELSEWHERE, ensure_private_token
from trainables.errors import UserError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    return tmp_path / ".ray" / "auth_token"


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_token_is_private_from_the_first_moment(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    link = os.link

    def record(source: Path, target: Path) -> None:
        seen.append(permissions(source))
        link(source, target)

    monkeypatch.setattr(os, "link", record)
    before = os.umask(0)
    try:
        ensure_private_token()
    finally:
        os.umask(before)
    assert seen == [0o600]
    assert permissions(file) == 0o600
    assert permissions(file.parent) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["auth_token"]
    token = file.read_text()
    assert len(token) == 64
    ensure_private_token()
    assert file.read_text() == token


def test_an_older_token_is_kept_and_made_private(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("mine")
    file.chmod(0o644)
    ensure_private_token()
    assert (file.read_text(), permissions(file)) == ("mine", 0o600)


@pytest.mark.parametrize("name", ELSEWHERE)
def test_a_token_of_the_environment_needs_no_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv(name, "other")
    ensure_private_token()
    assert not file.exists()


def test_a_token_that_cannot_be_written_is_named(file: Path) -> None:
    file.parent.touch()
    with pytest.raises(UserError, match=r"cannot write Ray's token .*auth_token"):
        ensure_private_token()
