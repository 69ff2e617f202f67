"""Copies on a `file://` storage, and the trainable whose attempts run on different machines."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import ray

from cluster.execution.failures import AttemptError
from cluster.execution.trainable import Trial, WorkerSettings, find_teacher
from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.replication import StorageTimeoutError
from tests.support.paths import TRIVIAL
from trainables.errors import PreemptedError


@pytest.fixture
def place(tmp_path: Path) -> Location:
    return Location((tmp_path / "bucket").as_uri()) / "a" / "1"


def lying(place: Location) -> Path:
    return Path(place.open()[1])


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in replication.list_files(folder)}


def test_a_copy_is_what_the_folder_was_and_only_changes_travel(
    place: Location, tmp_path: Path
) -> None:
    here = write(tmp_path / "here", last__state_1="x", best__state_1="y", _lock="", b_part="half")
    replication.upload(here, place, "me")
    first = {path.name for path in lying(place).iterdir()}
    assert len(first) == 3
    (here / "last" / "state.1").unlink()
    write(here, last__state_2="xx")
    replication.upload(here, place, "me")
    second = {path.name for path in lying(place).iterdir()}
    assert len(second) == 3
    assert len(first & second) == 1  # what did not change
    assert replication.download(place, tmp_path / "there", "me")
    assert read(tmp_path / "there") == {"last/state.2": "xx", "best/state.1": "y"}
    replication.upload(tmp_path / "there", place, "me")  # fetched files are not new
    assert {path.name for path in lying(place).iterdir()} == second
    assert not replication.download(place, tmp_path / "other", "you")
    assert not replication.download(place / "nothing", tmp_path / "other")
    replication.delete(place)
    replication.delete(place)
    assert replication.read_newest_index(place) is None


@pytest.mark.parametrize("broken", ["manifest", "file", "no file"])
def test_a_copy_of_which_half_arrived_is_not_believed(
    broken: str, place: Location, tmp_path: Path
) -> None:
    here = write(tmp_path / "here", state_1="first")
    replication.upload(here, place, "me")
    whole = {path.name: path.read_bytes() for path in lying(place).iterdir()}
    write(here, state_1="second")
    replication.upload(here, place, "me")
    for name, content in whole.items():
        (lying(place) / name).write_bytes(content)  # as before the old ones were deleted
    match broken:
        case "manifest":
            manifest = lying(place) / "manifest-000002.json"
            manifest.write_bytes(manifest.read_bytes()[:-9])
        case "file":
            (lying(place) / "000002.0.state.1").write_text("sec")
        case "no file":
            (lying(place) / "000002.0.state.1").unlink()
    assert replication.download(place, tmp_path / "there")
    assert read(tmp_path / "there") == {"state.1": "first"}
    replication.upload(here, place, "me")
    assert replication.download(place, tmp_path / "there")
    assert read(tmp_path / "there") == {"state.1": "second"}


def test_of_a_file_that_grows_what_was_seen_is_copied(place: Location, tmp_path: Path) -> None:
    here = write(tmp_path / "here", a_jsonl="one\n", search_json="{}")
    seen = replication.stat_files(here, replication.list_files(here))
    write(here, a_jsonl="one\ntwo\n", search_json='{"a": 1}', b_jsonl="later")
    replication.upload(here, place, "me", seen)
    replication.download(place, tmp_path / "there")
    assert read(tmp_path / "there") == {"a.jsonl": "one\n", "search.json": '{"a": 1}'}


def test_a_name_does_not_leave_the_folder(place: Location, tmp_path: Path) -> None:
    replication.upload(write(tmp_path / "here", a="x"), place, "me")
    manifest = lying(place) / "manifest-000001.json"
    told = json.loads(manifest.read_text())
    told["files"]["../out"] = told["files"].pop("a")
    manifest.write_text(json.dumps(told))
    with pytest.raises(StorageTimeoutError, match=r"'\.\./out', which leaves the folder"):
        replication.download(place, tmp_path / "there")
    assert not (tmp_path / "out").exists()


def test_a_storage_that_is_away_is_waited_for_but_not_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]
    monkeypatch.setattr(replication.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(replication.time, "sleep", lambda s: now.__setitem__(0, now[0] + s))

    def away(until: float) -> Callable[[], str]:
        def work() -> str:
            if now[0] < until:
                raise OSError("no answer")
            return "there"

        return work

    assert replication.retry_until_reachable(away(30)) == "there"
    with pytest.raises(StorageTimeoutError, match="did not answer for 120 s: no answer"):
        replication.retry_until_reachable(away(1e9))


def test_a_place_keeps_the_options_of_its_uri(tmp_path: Path) -> None:
    place = Location("s3://b/x?region=us-east-1") / "toy" / "ledger"
    assert str(place) == "s3://b/x/toy/ledger?region=us-east-1"
    with pytest.raises(ValueError, match="foo"):
        Location("foo://x").open()


@pytest.fixture
def on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Build an attempt at trial 0 on a machine of its own: only the storage is shared."""
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    made: list[Trial] = []

    def make(machine: str, attempt: int, **values: Any) -> Trial:
        settings = WorkerSettings(
            str(TRIVIAL),
            tmp_path / machine / "search",
            tmp_path / machine / "cache",
            reports=4,
            remote=Location((tmp_path / "bucket").as_uri()) / "attempts",
        )

        class There(Trial):
            def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
                super().setup(config, settings)

        made.append(There({"trial": 0, "attempt": attempt, "values": values}))
        return made[-1]

    handler = signal.getsignal(signal.SIGTERM)
    yield make
    signal.signal(signal.SIGTERM, handler)
    for trial in made:
        trial.stop()


def losses(results: list[dict[str, Any]]) -> dict[int, float]:
    heard = [entry for result in results for entry in result["history"]]
    return {entry["report"]: entry["metrics"]["loss"] for entry in heard}


def test_an_attempt_goes_on_on_another_machine(on: Callable[..., Trial], tmp_path: Path) -> None:
    quiet = on("quiet", 1)
    undisturbed = losses([quiet.step() for _ in range(4)])
    files = tmp_path / "bucket" / "attempts" / "000"
    shutil.rmtree(files)

    first = on("first", 1)
    results = [first.step(), first.step()]
    first._tell_to_end(signal.SIGTERM, None)
    with pytest.raises(PreemptedError):
        first.step()
    shutil.rmtree(tmp_path / "first")
    replication.upload(
        write(tmp_path / "stale", a="x"), Location(files.as_uri()) / "2", "forgotten"
    )

    second = on("second", 2)
    results += [second.step(), second.step()]
    assert results[-1]["outcome"] == "complete"
    assert losses(results) == undisturbed
    names = replication.read_newest_index(Location(files.as_uri()) / "2")
    assert names is not None
    assert {"best/validation.parquet", "best/manifest.json"} < names.files.keys()
    second.cleanup()
    assert not list((tmp_path / "second" / "search").rglob("attempt-*"))


def test_a_forgotten_trials_checkpoint_is_not_another_trials(on: Callable[..., Trial]) -> None:
    on("first", 1, width=2).step()
    again = on("second", 2, width=3).step()
    assert [entry["report"] for entry in again["history"]] == [1]


def test_what_is_put_down_in_the_middle_of_a_report_goes_on_on_another_machine(
    on: Callable[..., Trial], tmp_path: Path
) -> None:
    quiet = on("quiet", 1)
    undisturbed = losses([quiet.step() for _ in range(4)])
    shutil.rmtree(tmp_path / "bucket" / "attempts" / "000")
    first = on("first", 1, behave="leave")
    results = [first.step()]
    with pytest.raises(PreemptedError, match="in the middle of report 2"):
        first.step()
    shutil.rmtree(tmp_path / "first")
    second = on("second", 2, behave="leave")
    results += [second.step() for _ in range(3)]
    assert losses(results) == undisturbed


REFUSED = "When initiating write to 'network': AWS Error ACCESS_DENIED during PutObject operation"


def refusing(monkeypatch: pytest.MonkeyPatch, *errors: OSError) -> list[OSError]:
    left = list(errors)

    def try_out(place: Location) -> None:
        if left:
            raise left.pop(0)

    monkeypatch.setattr(replication, "check_access", try_out)
    monkeypatch.setattr(replication.time, "sleep", lambda _: None)
    return left


def test_a_machine_that_may_not_use_the_storage_is_named_at_once(
    on: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, *[OSError(REFUSED)] * 9)
    storage = (tmp_path / "bucket").as_uri()
    with pytest.raises(AttemptError, match=f"cannot use the storage {storage}: .*ACCESS_DENIED"):
        on("first", 1).step()


@pytest.mark.parametrize("words", ["NETWORK_CONNECTION", "SLOW_DOWN", "HTTP status 503", "role"])
def test_a_storage_that_is_only_away_blinds_nobody(
    words: str, on: Callable[..., Trial], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1 if words == "role" else 9  # which a machine may get a moment later
    left = refusing(monkeypatch, *[OSError(f"AWS Error {words}")] * count)
    first = on("first", 1)
    assert first.step()["report"] == 1
    assert not left
    monkeypatch.setattr(replication, "check_access", lambda _: pytest.fail("once for a worker"))
    first.step()


def test_a_teacher_comes_to_a_machine_that_has_another_cache(
    place: Location, tmp_path: Path
) -> None:
    there = write(tmp_path / "driver" / "teacher-1", config_json="{}", best__manifest_json="{}")
    replication.upload(there, place, there.name)
    at_home = WorkerSettings(
        "toy", tmp_path, tmp_path / "driver", 1, teacher=there, taught_from=place
    )
    assert find_teacher(at_home) == there
    shutil.rmtree(there)
    elsewhere = replace(at_home, cache=tmp_path / "worker")
    found = find_teacher(elsewhere)
    assert found is not None and found.is_relative_to(tmp_path / "worker")
    assert (found / "best" / "manifest.json").read_text() == "{}"
    replication.delete(place)
    assert find_teacher(elsewhere) == found
    with pytest.raises(FileNotFoundError, match="the teacher teacher-1 is not in file:"):
        find_teacher(at_home)
