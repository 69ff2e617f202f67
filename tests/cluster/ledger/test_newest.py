from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.newest import check_no_copy, check_not_renamed, find_copies, find_newest
from cluster.ledger.settings import SearchSettings, write_settings
from trainables.errors import UserError


def test_folders_are_numbered_and_the_newest_is_found(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    folders = [begin().folder.name for _ in range(11)]
    assert folders[:3] == ["toy", "toy-2", "toy-3"]
    begin("toy-box")
    begin("toy-99")
    newest = find_newest(tmp_path / "runs", "toy")
    assert newest is not None
    assert newest.name == "toy-11"
    (tmp_path / "runs" / "toy-100").mkdir()  # a driver killed before it wrote the settings
    assert find_newest(tmp_path / "runs", "toy") == newest
    assert begin().folder.name == "toy-101"


def test_an_older_search_of_another_version_hides_no_newer_one(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    old = begin()
    (old.folder / "search.json").write_text('{"space": "toy", "going": "fresh"}')
    begin()
    newest = find_newest(tmp_path / "runs", "toy")
    assert newest == tmp_path / "runs" / "toy-2"


def test_trials_without_settings_or_with_those_of_another_search_are_not_passed_over(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    search, other = begin(), begin("other")
    search.add_trial(0, {}, {"x": 1})
    search.close()
    (search.folder / "search.json").unlink()
    assert find_newest(tmp_path / "runs", "toy") == search.folder
    with pytest.raises(UserError, match=r"cannot read .*toy/search\.json"):
        ledgers.reopen_ledger(search.folder)
    shutil.copy(other.folder / "search.json", search.folder)
    assert find_newest(tmp_path / "runs", "toy") == search.folder
    with pytest.raises(UserError, match=r"that of a search of other"):
        ledgers.reopen_ledger(search.folder)


@pytest.mark.parametrize("name", ["net[v2]", "it's", "my space", "-x", "a*?b", "Default", "网络"])
def test_a_search_is_found_whatever_characters_its_name_has(name: str, tmp_path: Path) -> None:
    settings = SearchSettings(space=name, metric="loss", mode="min", trials=1, reports=1)
    (tmp_path / f"{name}-x").mkdir()
    for number in (1, 2):
        ledger = ledgers.create_ledger(tmp_path, settings)
        write_settings(ledger.folder, ledger.settings)
        assert ledger.folder.name == (name if number == 1 else f"{name}-2")
        assert find_newest(tmp_path, name) == ledger.folder
        ledger.close()
    assert ledgers.reopen_ledger(tmp_path / f"{name}-2").settings.space == name


def test_a_file_of_the_name_is_left_alone(tmp_path: Path) -> None:
    settings = SearchSettings(space="toy", metric="loss", mode="min", trials=1, reports=1)
    (tmp_path / "toy").touch()
    assert find_newest(tmp_path, "toy") is None
    assert ledgers.create_ledger(tmp_path, settings).folder.name == "toy-2"


@pytest.mark.parametrize("name", ["toy-10", "toy.bak", "another space", "copy [1]"])
def test_two_folders_that_hold_one_search_are_both_named(
    begin: Callable[..., Ledger], tmp_path: Path, name: str
) -> None:
    """As after `cp -r runs/toy-2 runs/COPY`."""
    first, second = begin().folder, begin().folder
    check_no_copy(second)
    shutil.copytree(second, copy := tmp_path / "runs" / name)
    assert find_copies(tmp_path / "runs") == {copy: second}
    for folder, other in ((copy, second), (second, copy)):
        with pytest.raises(UserError, match=r"hold the same(.|\n)*move one") as told:
            check_no_copy(folder)
        assert str(told.value).startswith(f"{other} and {folder} hold")
    check_no_copy(first)
    copy.rename(tmp_path / "backup")
    check_no_copy(second)


def test_a_renamed_search_is_named(begin: Callable[..., Ledger], tmp_path: Path) -> None:
    search = begin().folder
    check_not_renamed(search.parent, "toy")
    search.rename(renamed := search.with_name("best of all"))
    assert find_newest(search.parent, "toy") is None
    with pytest.raises(UserError, match=rf"{renamed} holds a search of toy, whose(.|\n)*--fresh"):
        check_not_renamed(search.parent, "toy")
    check_not_renamed(search.parent, "to")
