"""The files of attempts: copied from an earlier attempt, or downloaded from remote storage."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cluster.execution.attempt import AttemptRunner
from cluster.execution.attempt_files import copy_earlier_attempt, download_teacher
from cluster.execution.failures import AttemptError
from cluster.ledger.files import OUTPUT
from cluster.storage import replication
from cluster.storage.location import Location
from trainables import checkpoint
from trainables.run import Run


def save_attempt(folder: Path) -> None:
    """Save two reports, the first of which is the best."""
    run = Run(2, metric="score", mode="max", folder=folder)
    for report in run.resume(model=torch.nn.Linear(1, 1)):
        run.record({"score": -float(report)})


def test_a_worker_killed_while_it_copied_an_earlier_attempt_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_attempt(tmp_path / "attempt-1")
    copy = checkpoint.copy

    def copy_and_die(source: Path, target: Path) -> bool:
        copy(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "copy", copy_and_die)
        with pytest.raises(KeyboardInterrupt):
            copy_earlier_attempt(tmp_path / "attempt-2", 2)
    assert copy_earlier_attempt(tmp_path / "attempt-3", 3) == []
    best = checkpoint.read(tmp_path / "attempt-3" / "best")
    last = checkpoint.read(tmp_path / "attempt-3" / "last")
    assert best is not None and last is not None
    assert (best[0]["report"], last[0]["report"]) == (1, 2)


def test_a_checkpoint_that_is_gone_is_told(tmp_path: Path) -> None:
    save_attempt(tmp_path / "attempt-1")
    (tmp_path / "attempt-1" / "last" / "manifest.json").unlink()
    (note,) = copy_earlier_attempt(tmp_path / "attempt-2", 2, done=2)
    assert "has no checkpoint of report 2; the trial starts again from its first report" in note
    assert copy_earlier_attempt(tmp_path / "attempt-2", 2, done=0) == []


def test_a_damaged_copy_on_remote_storage_is_noticed(
    on: Callable[..., AttemptRunner], tmp_path: Path
) -> None:
    first = on("first", 1)
    expected = [first.step() for _ in range(2)]
    second = on("second", 2)
    assert second.step()["notes"] == []
    bucket = tmp_path / "bucket" / "attempts" / "000"
    for state in (bucket / "2").glob("*.state-3.safetensors"):
        content = bytearray(state.read_bytes())
        content[-1] ^= 1
        state.write_bytes(content)
    third = on("third", 3)
    result = third.step()
    (note,) = result["notes"]
    assert "last is damaged: state-3.safetensors does not match its checksum" in note
    assert note.endswith("the trial continues from attempt 1")
    history = [entry for entry in result["history"] if entry["report"] < 3]
    before = [entry for result in expected for entry in result["history"]]
    for entry in before:
        entry.pop("usage", None)  # the driver's: a checkpoint does not have it
    assert history == before


def test_the_output_of_a_failed_attempt_is_uploaded_and_its_checkpoint_stays(
    on: Callable[..., AttemptRunner], tmp_path: Path
) -> None:
    first = on("first", 1, behave="raise", talk=True)
    first.step()
    copy = Location((tmp_path / "bucket").as_uri()) / "attempts" / "000" / "1"
    before = replication.read_newest_index(copy)
    with pytest.raises(AttemptError):
        first.step()
    after = replication.read_newest_index(copy)
    assert before is not None and after is not None
    assert before.files.items() - after.files.items() == {(OUTPUT, before.files[OUTPUT])}
    replication.download(copy, tmp_path / "copy")
    assert (tmp_path / "copy" / OUTPUT).read_text() == "report 0\nreport 1\n"


DENIED = "When initiating write to 'network': AWS Error ACCESS_DENIED during PutObject operation"


def fail_access(monkeypatch: pytest.MonkeyPatch, *errors: OSError) -> list[OSError]:
    """Let the first accesses to the storage fail; return the errors that are still to come."""
    left = list(errors)

    def check_access(location: Location) -> None:
        if left:
            raise left.pop(0)

    monkeypatch.setattr(replication, "check_access", check_access)
    monkeypatch.setattr(replication.time, "sleep", lambda _: None)
    return left


def test_a_machine_that_may_not_use_the_storage_is_named_at_once(
    on: Callable[..., AttemptRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_access(monkeypatch, *[OSError(DENIED)] * 9)
    storage = (tmp_path / "bucket").as_uri()
    expected = f"cannot use the storage {storage}: .*ACCESS_DENIED"
    with pytest.raises(AttemptError, match=expected) as error:
        on("first", 1).step()
    assert error.value.failure.failure_class == "storage_unreachable"


@pytest.mark.parametrize("text", ["NETWORK_CONNECTION", "SLOW_DOWN", "HTTP status 503", "role"])
def test_a_storage_that_is_away_for_a_while_is_waited_for(
    text: str, on: Callable[..., AttemptRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 1 if text == "role" else 9  # a machine may get its role a moment later
    left = fail_access(monkeypatch, *[OSError(f"AWS Error {text}")] * count)
    first = on("first", 1)
    assert first.step()["report"] == 1
    assert not left
    checked_twice = "a worker checks the storage once"
    monkeypatch.setattr(replication, "check_access", lambda _: pytest.fail(checked_twice))
    first.step()


def test_a_teacher_is_downloaded_to_a_machine_with_another_cache(tmp_path: Path) -> None:
    teachers = Location((tmp_path / "bucket").as_uri()) / "teachers"
    teacher = tmp_path / "driver" / "teacher-1"
    (teacher / "best").mkdir(parents=True)
    (teacher / "config.json").write_text("{}")
    (teacher / "best" / "manifest.json").write_text("{}")
    replication.upload(teacher, teachers, teacher.name)
    assert download_teacher(None, teachers, tmp_path / "driver") is None
    assert download_teacher(teacher, teachers, tmp_path / "driver") == teacher
    shutil.rmtree(teacher)
    found = download_teacher(teacher, teachers, tmp_path / "worker")
    assert found is not None and found.is_relative_to(tmp_path / "worker")
    assert (found / "best" / "manifest.json").read_text() == "{}"
    replication.delete(teachers)
    assert download_teacher(teacher, teachers, tmp_path / "worker") == found
    with pytest.raises(FileNotFoundError, match="the teacher teacher-1 is not in file:"):
        download_teacher(teacher, teachers, tmp_path / "driver")
