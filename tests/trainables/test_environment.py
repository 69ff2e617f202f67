"""Folders and devices of this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainables.environment import default_cache, find_data_folder, find_weights
from trainables.errors import UserError


def test_default_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNERY_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("TUNERY_CACHE")
    assert default_cache() == Path.home() / ".cache" / "tunery"
    monkeypatch.setenv("TUNERY_CACHE", "~nobody-of-this-name/x")
    with pytest.raises(UserError, match="TUNERY_CACHE: '~nobody-of-this-name/x'"):
        default_cache()


def test_the_weights_folder_must_exist(tmp_path: Path) -> None:
    assert find_weights(None) is None
    assert find_weights(tmp_path) == tmp_path
    (tmp_path / "file").touch()
    for name in ("none", "file"):
        with pytest.raises(UserError, match=f"--weights-dir .*{name} is not a folder"):
            find_weights(tmp_path / name)


def test_the_data_folder_comes_from_option_or_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNERY_DATA", raising=False)
    assert find_data_folder(None) is None
    monkeypatch.setenv("TUNERY_DATA", str(tmp_path))
    (tmp_path / "mine").mkdir()
    assert find_data_folder(None) == tmp_path
    assert find_data_folder(tmp_path / "mine") == tmp_path / "mine"
    with pytest.raises(UserError, match=r"--data-dir .*none"):
        find_data_folder(tmp_path / "none")
    monkeypatch.setenv("TUNERY_DATA", str(tmp_path / "gone"))
    with pytest.raises(UserError, match=r"TUNERY_DATA .*gone"):
        find_data_folder(None)


def test_a_variable_names_a_folder_in_the_home_folder_as_in_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("TUNERY_DATA", "TUNERY_CACHE"):
        monkeypatch.setenv(variable, "~/mine")
    (tmp_path / "mine").mkdir()
    assert find_data_folder(None) == default_cache() == tmp_path / "mine"
    monkeypatch.setenv("TUNERY_DATA", "~nobody-of-this-name/x")
    with pytest.raises(UserError, match="TUNERY_DATA: '~nobody-of-this-name/x'"):
        find_data_folder(None)
