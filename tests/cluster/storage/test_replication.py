"""Copies of folders on a `file://` storage: complete, or ignored."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.replication import StorageTimeoutError


@pytest.fixture
def location(tmp_path: Path) -> Location:
    return Location((tmp_path / "bucket").as_uri()) / "a" / "1"


def object_folder(location: Location) -> Path:
    return Path(location.open()[1])


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in replication.list_files(folder)}


def test_a_copy_equals_the_folder_and_only_changes_are_sent(
    location: Location, tmp_path: Path
) -> None:
    here = write(tmp_path / "here", last__state_1="x", best__state_1="y", _lock="", b_part="half")
    replication.upload(here, location, "me")
    first = {path.name for path in object_folder(location).iterdir()}
    assert len(first) == 3
    (here / "last" / "state.1").unlink()
    write(here, last__state_2="xx")
    replication.upload(here, location, "me")
    second = {path.name for path in object_folder(location).iterdir()}
    assert len(second) == 3
    assert len(first & second) == 1  # the file that did not change
    assert replication.download(location, tmp_path / "there", "me")
    assert read(tmp_path / "there") == {"last/state.2": "xx", "best/state.1": "y"}
    replication.upload(tmp_path / "there", location, "me")  # downloaded files are unchanged
    assert {path.name for path in object_folder(location).iterdir()} == second
    assert not replication.download(location, tmp_path / "other", "you")
    assert not replication.download(location / "nothing", tmp_path / "other")
    replication.delete(location)
    replication.delete(location)
    assert replication.read_newest_index(location) is None


@pytest.mark.parametrize("broken", ["manifest", "file", "no file"])
def test_a_partial_copy_is_ignored(broken: str, location: Location, tmp_path: Path) -> None:
    here = write(tmp_path / "here", state_1="first")
    replication.upload(here, location, "me")
    whole = {path.name: path.read_bytes() for path in object_folder(location).iterdir()}
    write(here, state_1="second")
    replication.upload(here, location, "me")
    for name, content in whole.items():
        (object_folder(location) / name).write_bytes(content)  # before the deletion
    match broken:
        case "manifest":
            manifest = object_folder(location) / "manifest-000002.json"
            manifest.write_bytes(manifest.read_bytes()[:-9])
        case "file":
            (object_folder(location) / "000002.0.state.1").write_text("sec")
        case "no file":
            (object_folder(location) / "000002.0.state.1").unlink()
    assert replication.download(location, tmp_path / "there")
    assert read(tmp_path / "there") == {"state.1": "first"}
    replication.upload(here, location, "me")
    assert replication.download(location, tmp_path / "there")
    assert read(tmp_path / "there") == {"state.1": "second"}


def test_of_a_growing_file_the_given_state_is_copied(location: Location, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_jsonl="one\n", search_json="{}")
    before = replication.stat_files(here, replication.list_files(here))
    write(here, a_jsonl="one\ntwo\n", search_json='{"a": 1}', b_jsonl="later")
    replication.upload(here, location, "me", before)
    replication.download(location, tmp_path / "there")
    assert read(tmp_path / "there") == {"a.jsonl": "one\n", "search.json": '{"a": 1}'}


def test_a_path_outside_of_the_folder_is_rejected(location: Location, tmp_path: Path) -> None:
    replication.upload(write(tmp_path / "here", a="x"), location, "me")
    manifest = object_folder(location) / "manifest-000001.json"
    content = json.loads(manifest.read_text())
    content["files"]["../out"] = content["files"].pop("a")
    manifest.write_text(json.dumps(content))
    with pytest.raises(StorageTimeoutError, match=r"'\.\./out', a path outside of the folder"):
        replication.download(location, tmp_path / "there")
    assert not (tmp_path / "out").exists()


def test_a_storage_that_does_not_answer_is_retried_for_a_limited_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(replication.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(replication.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))

    def fail(until: float) -> Callable[[], str]:
        def work() -> str:
            if now[0] < until:
                raise OSError("no answer")
            return "there"

        return work

    assert replication.retry_until_reachable(fail(30)) == "there"
    with pytest.raises(StorageTimeoutError, match="did not answer for 120 s: no answer"):
        replication.retry_until_reachable(fail(1e9))


def test_a_copy_that_its_owner_replaces_all_the_time_is_an_error(
    location: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replication.upload(write(tmp_path / "here", a="x"), location, "me")
    infos = replication._list_infos(location)
    for info in infos:
        (object_folder(location) / info.base_name).unlink()
    monkeypatch.setattr(replication, "_list_infos", lambda _: infos)
    with pytest.raises(OSError, match="changes too fast to be read"):
        replication.read_newest_index(location)


def test_access_is_checked_and_leaves_nothing(location: Location, tmp_path: Path) -> None:
    replication.check_access(location)
    assert replication.list_folders(location) == []
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        replication.check_access(Location((tmp_path / "file").as_uri()))


def test_a_trial_with_other_values_has_another_owner() -> None:
    assert replication.trial_owner({"a": 1, "b": 2}) == replication.trial_owner({"b": 2, "a": 1})
    assert replication.trial_owner({"a": 1}) != replication.trial_owner({"a": 2})
