"""The backup of a search, on `file://` and on an S3 of moto's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import write_settings
from cluster.storage import lease, ledger_backup, replication
from cluster.storage.ledger_backup import LedgerBackup
from cluster.storage.location import Location, write_bytes
from cluster.storage.storage import Storage
from tests.support.remote import finish_trial
from trainables.errors import UserError


def test_a_lost_disk_is_restored_with_the_files_of_ended_trials(
    remote: Location,
    begin: Callable[..., Ledger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: Any,
) -> None:
    monkeypatch.setattr(ledgers, "KEPT_WEIGHTS", 1)
    storage = tmp_path / "runs"
    ledger = begin()
    location = remote / "toy"
    backup = LedgerBackup(ledger, location)
    backup.start()
    for losses in ([0.5], [0.25], [0.75]):
        finish_trial(ledger, location, tmp_path / "worker", losses)
    backup.fetch(0)
    assert not (ledger.latest_attempt(1) / "best").exists()
    assert backup.close() is None
    assert replication.list_folders(location / "attempts") == []
    left = sorted(p.relative_to(ledger.folder).as_posix() for p in ledger.folder.rglob("best/*"))
    kept = ("manifest.json", "map.png", "state-1.safetensors", "validation.parquet")
    assert left == [
        "trials/000/attempt-1/best/validation.parquet",
        *(f"trials/001/attempt-1/best/{name}" for name in kept),
        "trials/002/attempt-1/best/validation.parquet",
    ]
    ledger.close()
    text = {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")}
    restore(storage, remote)  # nothing is lost, and nothing changes
    assert {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")} == text

    shutil.rmtree(storage)
    restore(storage, remote)
    again = ledgers.reopen_ledger(storage / "toy")
    assert {p: p.read_bytes() for p in again.folder.rglob("*.jsonl")} == text
    restored = sorted(p.relative_to(again.folder).as_posix() for p in again.folder.rglob("best/*"))
    assert restored == left
    assert again.settings.tracking_uri == ""  # the database is where the storage is now
    assert again.settings.id == ledger.id
    again.close()


def test_a_trial_that_ended_after_the_snapshot_keeps_its_attempts(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    location = Location((tmp_path / "bucket").as_uri()) / "toy"
    ledger = begin()
    backup = LedgerBackup(ledger, location)
    backup.start()
    backup._snapshot()
    finish_trial(ledger, location, tmp_path / "worker", [0.5])
    backup.fetch(0)
    backup._copy()
    assert replication.list_folders(location / "attempts") == ["000"]
    found = replication.read_newest_index(location / "ledger")
    assert found is not None
    assert "trials/000/reports.jsonl" not in found.files
    assert backup.close() is None
    assert replication.list_folders(location / "attempts") == []


def restore(folder: Path, remote: Location, take_over: bool = True) -> None:
    ledger_backup.restore_ledger(Storage(folder, remote), "toy", take_over)


@pytest.fixture
def first(remote: Location, begin: Callable[..., Ledger], tmp_path: Path) -> LedgerBackup:
    """Return the backup of a running driver, with one trial in the copy."""
    ledger = begin(tracking_uri="http://server:5000")
    finish_trial(ledger, remote / "toy", tmp_path / "worker", [0.5])
    driver = LedgerBackup(ledger, remote / "toy")
    driver.start()
    driver._copy()
    return driver


def read_copy(remote: Location) -> dict[str, Any]:
    """Return the owner and all files of the copy."""
    found = replication.read_newest_index(remote / "toy" / "ledger")
    assert found is not None
    return {"owner": found.owner, **found.files}


def test_a_search_that_runs_elsewhere_is_left_alone(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Any
) -> None:
    before = read_copy(remote)
    clock.during = first._lease.renew
    other = tmp_path / "other"
    with pytest.raises(UserError, match=r"process \d+ on .* is running .*/toy.*\n.* 120 s later"):
        restore(other, remote)
    assert clock.now == 3.0
    assert not (other / "toy" / "search.json").exists()
    assert read_copy(remote) == before
    first._copy()
    assert first.lost is None
    restore(other, remote, take_over=False)  # for a fresh search
    assert (other / "toy" / "search.json").exists()
    assert clock.now == 3.0
    assert read_copy(remote) == before


def test_a_search_whose_lease_has_expired_is_taken_over_and_ends_there(
    first: LedgerBackup,
    remote: Location,
    tmp_path: Path,
    clock: Any,
    capsys: pytest.CaptureFixture[str],
) -> None:
    restore(tmp_path / "other", remote)
    assert clock.now == pytest.approx(120.0)
    assert "waiting 120 s" in capsys.readouterr().out
    other = ledgers.reopen_ledger(tmp_path / "other" / "toy")
    second = LedgerBackup(other, remote / "toy")
    second.start()
    before = read_copy(remote)
    first.ledger.add_trial(1, {}, {})
    first.step()
    first._snapshot()
    problem = first.close()
    assert problem is not None
    assert problem == str(first.lost)
    assert "another driver, process" in problem
    assert read_copy(remote) == before
    finish_trial(other, remote / "toy", tmp_path / "worker", [0.5])
    assert second.close() is None
    with pytest.raises(UserError, match="another process is running"):
        restore(tmp_path / "runs", remote)
    first.ledger.close()
    restore(tmp_path / "runs", remote)  # the other has ended: no wait
    assert clock.now == pytest.approx(120.0)
    assert len(ledgers.reopen_ledger(tmp_path / "runs" / "toy").trial_logs) == 2


def test_a_resume_on_the_same_disk_does_not_wait(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Any
) -> None:
    clock.during = lambda: pytest.fail("it waits")
    first.ledger.close()
    restore(tmp_path / "runs", remote)
    again = LedgerBackup(ledgers.reopen_ledger(first.ledger.folder), remote / "toy")
    again.start()
    assert again.close() is None
    assert lease.read_lease(remote / "toy", 1.0) is None


def test_a_driver_that_was_overtaken_before_its_start_does_not_start(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Any
) -> None:
    for name in ("slow", "quick"):
        restore(tmp_path / name, remote)
    slow, quick = (
        LedgerBackup(ledgers.reopen_ledger(tmp_path / name / "toy"), remote / "toy")
        for name in ("slow", "quick")
    )
    quick.start()
    assert quick.close() is None
    with pytest.raises(UserError, match=r"has continued the search(.|\n)*--resume"):
        slow.start()


def test_a_partial_lease_is_waited_for_and_does_not_end_its_own_driver(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Any
) -> None:
    write_bytes(remote / "toy" / "driver", "lease.json", b'{"own')
    restore(tmp_path / "other", remote)
    assert clock.now == pytest.approx(120.0)
    write_bytes(remote / "toy" / "driver", "lease.json", b"")
    first._lease.renew()
    assert first.lost is None


def test_closing_always_wakes_the_thread(begin: Callable[..., Ledger], tmp_path: Path) -> None:
    backup = LedgerBackup(begin(), Location((tmp_path / "bucket").as_uri()) / "toy")
    clear = backup._wake.clear

    def close_just_before() -> None:
        backup._ending.set()
        backup._wake.set()
        clear()

    backup._wake.clear = close_just_before  # type: ignore[method-assign]
    backup.start()
    backup._wake.set()
    backup._thread.join(10)
    assert not backup._thread.is_alive()


def test_weights_are_deleted_when_a_better_trial_ends_during_their_download(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT_WEIGHTS", 1)
    location = Location((tmp_path / "bucket").as_uri()) / "toy"
    ledger = begin()
    backup = LedgerBackup(ledger, location)
    backup.start()
    finish_trial(ledger, location, tmp_path / "worker", [0.5])
    download = replication.download

    def download_while_another_ends(*words: Any) -> bool:
        monkeypatch.setattr(replication, "download", download)
        finish_trial(ledger, location, tmp_path / "worker", [0.25])
        return download(*words)

    monkeypatch.setattr(replication, "download", download_while_another_ends)
    backup.fetch(0)
    left = sorted(path.name for path in ledger.latest_attempt(0).rglob("*") if path.is_file())
    assert left == ["validation.parquet"]


def test_an_unreachable_storage_does_not_stop_the_search_and_is_named_at_the_end(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_backup, "PATIENCE", 0.1)
    bucket = tmp_path / "bucket"
    ledger = begin()
    backup = LedgerBackup(ledger, Location(bucket.as_uri()) / "toy")
    backup.start()
    shutil.rmtree(bucket)
    bucket.touch()
    ledger.add_trial(0, {}, {})
    backup.step()
    problem = backup.close()
    assert problem is not None
    assert "is not complete" in problem
    assert "--resume" in problem
    bucket.unlink()
    again = LedgerBackup(ledger, Location(bucket.as_uri()) / "toy")
    again.start()
    assert again.close() is None


@pytest.mark.parametrize("uri", ["foo://b/x", "file:///proc/nowhere"])
def test_a_storage_that_cannot_be_used_is_named(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{uri}(.|\n)*--storage"):
        restore(tmp_path, Location(uri))


def test_a_missing_bucket_is_named_without_secrets(s3: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobucket") as error:
        restore(tmp_path, Location(s3.replace("bucket", "nobucket")))
    assert "planted-secret" not in str(error.value)


def test_a_search_of_another_space_is_not_restored(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    """The space toy-2 has a folder that looks like the second search of toy."""
    remote = Location((tmp_path / "bucket").as_uri())
    for name in ("toy", "toy-2"):
        ledger = begin(name)
        replication.upload(ledger.folder, remote / ledger.folder.name / "ledger", "another disk")
        ledger.close()
    restore(tmp_path / "other", remote)
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["toy"]


def test_a_server_or_database_elsewhere_does_not_move_with_the_disk(
    begin: Callable[..., Ledger], tmp_path: Path, clock: Any
) -> None:
    remote = Location((tmp_path / "bucket").as_uri())
    ledger = begin()
    for uri in ("http://server:5000", "sqlite:////data/mlflow.db"):
        settings = replace(ledger.settings, tracking_uri=uri)
        write_settings(ledger.folder, settings)
        replication.upload(ledger.folder, remote / "toy" / "ledger", "another disk")
        restore(tmp_path / "other", remote)
        restored = ledgers.reopen_ledger(tmp_path / "other" / "toy")
        restored.close()
        assert restored.settings.tracking_uri == uri
        shutil.rmtree(tmp_path / "other")
        replication.delete(remote / "toy" / "driver")
