"""The driver's side of remote storage, on `file://` and on an S3 of moto's."""

from __future__ import annotations

import math
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from cluster.execution import ray_tuner, storage_check
from cluster.execution.prepare_cluster import PreparedCluster
from cluster.execution.resources import Resources
from cluster.execution.trainable import WorkerSettings
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.options import Options
from cluster.sampling.study import Study
from cluster.storage import lease, ledger_backup, replication
from cluster.storage.ledger_backup import LedgerBackup
from cluster.storage.location import Location, write_bytes
from cluster.storage.replication import trial_owner
from cluster.tuning import run_trials
from cluster.tuning.run_trials import TrialsJob
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.run import Run


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URI of a bucket of moto's server."""
    pytest.importorskip("moto", reason="an S3 on this machine needs moto: pip install '.[lab]'")
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log.txt").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "mocked")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        address = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 50
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert time.monotonic() < deadline
            time.sleep(0.1)
        boto3.client("s3", "us-east-1", endpoint_url=address).create_bucket(Bucket="bucket")
        yield f"s3://bucket/x y?endpoint_override=127.0.0.1:{port}&scheme=http".replace(" ", "%20")
    server.kill()
    server.wait()
    log.close()


@pytest.fixture(params=["file", "s3"])
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Location]:
    if request.param == "file":
        yield Location((tmp_path / "bucket").as_uri())
        return
    place = Location(request.getfixturevalue("s3"))
    yield place
    replication.delete(place)


class Clock:
    """Time that passes where somebody sleeps; `during` is what happens meanwhile."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        self.during: Callable[[], object] = lambda: None
        patch.setattr(lease, "monotonic", lambda: self.now)
        patch.setattr(lease, "sleep", self.sleep)

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.during()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def trained(ledger: Ledger, place: Location, work: Path, losses: list[float]) -> int:
    """Do what a driver and a worker do for a trial, up to its outcome."""
    trial = len(ledger.trial_logs)
    ledger.add_trial(trial, {"width": trial}, {"width": trial})
    ledger.add_attempt(trial)
    best = work / str(trial) / "best"
    best.mkdir(parents=True)
    for name in ("manifest.json", "state-1.safetensors", "validation.parquet", "map.png"):
        (best / name).write_text(f"{name} of {trial}")
    owner = trial_owner({"width": trial})
    replication.upload(work / str(trial), place / "attempts" / f"{trial:03d}" / "1", owner)
    history = [{"report": n, "seconds": 1.0, "metrics": {"loss": x}} for n, x in enumerate(losses)]
    ledger.record_reports(
        trial, [{**entry, "report": entry["report"] + 1} for entry in history], {}
    )
    ledger.record_outcome(trial, "complete")
    ledger.prune(trial)
    return trial


def test_a_lost_disk_is_brought_back_with_all_that_ended_trials_left(
    remote: Location,
    begin: Callable[..., Ledger],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    clock: Clock,
) -> None:
    monkeypatch.setattr(ledgers, "KEPT", 1)
    storage = tmp_path / "runs"
    ledger = begin(tracking_uri=f"sqlite:////elsewhere/{storage.name}/mlflow.db")
    place = remote / "toy"
    keeper = LedgerBackup(ledger, place)
    keeper.start()
    for losses in ([0.5], [0.25], [0.75]):
        trained(ledger, place, tmp_path / "worker", losses)
    keeper.fetch(0)
    assert not (ledger.latest_attempt(1) / "best").exists()
    assert keeper.close() is None
    assert replication.list_folders(place / "attempts") == []
    left = sorted(p.relative_to(ledger.folder).as_posix() for p in ledger.folder.rglob("best/*"))
    kept = ("manifest.json", "map.png", "state-1.safetensors", "validation.parquet")
    assert left == [
        "trials/000/attempt-1/best/validation.parquet",
        *(f"trials/001/attempt-1/best/{name}" for name in kept),
        "trials/002/attempt-1/best/validation.parquet",
    ]
    ledger.close()
    text = {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")}
    ledger_backup.restore_ledger(
        storage, remote, "toy"
    )  # here nothing is lost, and nothing changes
    assert {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")} == text

    shutil.rmtree(storage)
    ledger_backup.restore_ledger(storage, remote, "toy")
    again = ledgers.reopen_ledger(storage / "toy")
    assert {p: p.read_bytes() for p in again.folder.rglob("*.jsonl")} == text
    found = sorted(p.relative_to(again.folder).as_posix() for p in again.folder.rglob("best/*"))
    assert found == left
    assert again.settings["tracking_uri"] == f"sqlite:///{storage / 'mlflow.db'}"
    assert again.settings["id"] == ledger.id
    again.close()


def test_what_ended_after_the_look_keeps_its_attempts(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    place = Location((tmp_path / "bucket").as_uri()) / "toy"
    ledger = begin()
    keeper = LedgerBackup(ledger, place)
    keeper.start()
    keeper._look()
    trained(ledger, place, tmp_path / "worker", [0.5])
    keeper.fetch(0)
    keeper._round()
    assert replication.list_folders(place / "attempts") == ["000"]
    found = replication.read_newest_index(place / "ledger")
    assert found is not None
    assert "trials/000/reports.jsonl" not in found.files
    assert keeper.close() is None
    assert replication.list_folders(place / "attempts") == []


@pytest.fixture
def first(remote: Location, begin: Callable[..., Ledger], tmp_path: Path) -> LedgerBackup:
    """Give a driver that lives, with one trial in the copy."""
    ledger = begin(tracking_uri="http://server:5000")
    trained(ledger, remote / "toy", tmp_path / "worker", [0.5])
    driver = LedgerBackup(ledger, remote / "toy")
    driver.start()
    driver._round()
    return driver


def there(remote: Location) -> dict[str, Any]:
    """Give all that lies in the copy, and whose it is."""
    found = replication.read_newest_index(remote / "toy" / "ledger")
    assert found is not None
    return {"owner": found.owner, **found.files}


def test_a_search_that_is_driven_elsewhere_is_left_alone(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Clock
) -> None:
    before = there(remote)
    clock.during = first._heartbeat.beat
    other = tmp_path / "other"
    with pytest.raises(UserError, match=r"process \d+ on .* is running .*/toy\b(.|\n)* 120 s"):
        ledger_backup.restore_ledger(other, remote, "toy")
    assert clock.now == 3.0
    assert not (other / "toy" / "search.json").exists()
    assert there(remote) == before
    first._round()
    assert first.lost is None
    ledger_backup.restore_ledger(other, remote, "toy", "fresh")  # which leaves it to its driver
    assert (other / "toy" / "search.json").exists()
    assert clock.now == 3.0
    assert there(remote) == before


def test_a_search_whose_driver_is_silent_is_gone_on_with_and_ends_there(
    first: LedgerBackup,
    remote: Location,
    tmp_path: Path,
    clock: Clock,
    capsys: pytest.CaptureFixture[str],
) -> None:
    ledger_backup.restore_ledger(tmp_path / "other", remote, "toy")
    assert clock.now == pytest.approx(120.0)
    assert "waiting 120 s" in capsys.readouterr().out
    other = ledgers.reopen_ledger(tmp_path / "other" / "toy")
    second = LedgerBackup(other, remote / "toy")
    second.start()
    before = there(remote)
    first.ledger.add_trial(1, {}, {})
    first.step()
    first._look()
    said = first.close()
    assert said is not None
    assert said == str(first.lost)
    assert "another driver, process" in said
    assert there(remote) == before
    trained(other, remote / "toy", tmp_path / "worker", [0.5])
    assert second.close() is None
    with pytest.raises(UserError, match="another process is running"):
        ledger_backup.restore_ledger(tmp_path / "runs", remote, "toy")
    first.ledger.close()
    ledger_backup.restore_ledger(tmp_path / "runs", remote, "toy")  # the other has ended: no wait
    assert clock.now == pytest.approx(120.0)
    assert len(ledgers.reopen_ledger(tmp_path / "runs" / "toy").trial_logs) == 2


def test_a_killed_drivers_own_resume_need_not_wait(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Clock
) -> None:
    clock.during = lambda: pytest.fail("waits")
    first.ledger.close()
    ledger_backup.restore_ledger(tmp_path / "runs", remote, "toy")
    again = LedgerBackup(ledgers.reopen_ledger(first.ledger.folder), remote / "toy")
    again.start()
    assert again.close() is None
    assert lease.read_lease(remote / "toy", 1.0) is None


def test_who_was_overtaken_before_it_began_does_not_begin(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Clock
) -> None:
    for name in ("slow", "quick"):
        ledger_backup.restore_ledger(tmp_path / name, remote, "toy")
    slow, quick = (
        LedgerBackup(ledgers.reopen_ledger(tmp_path / name / "toy"), remote / "toy")
        for name in ("slow", "quick")
    )
    quick.start()
    assert quick.close() is None
    with pytest.raises(UserError, match=r"has gone on with the search(.|\n)*--resume"):
        slow.start()


def test_a_driver_that_has_lost_its_search_ends_it(
    first: LedgerBackup,
    remote: Location,
    space: SearchSpace[Any],
    open_study: Callable[..., Study],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(attempts: TrialQueue, *others: Any) -> None:
        every_step = others[-1]
        every_step()
        assert not attempts.finished
        lease.write_lease(remote / "toy", "another", 30.0)
        with pytest.raises(UserError):
            first._round()
        every_step()
        assert attempts.finished
        raise attempts.broken or AssertionError

    monkeypatch.setattr(ray_tuner, "run", run)
    first._due = math.inf
    ledger = first.ledger
    ledger.settings["parameters"], ledger.settings["scheduler"] = {}, "none"
    ledger.trial_logs.clear()  # which no study has asked for
    attempts = TrialQueue(ledger, open_study(ledger, space), 4)
    unused: Any = SimpleNamespace(behind="")
    ready = PreparedCluster(
        WorkerSettings("toy", ledger.folder, ledger.folder, 4), Resources(1.0, 0.0, None, False)
    )
    what = TrialsJob(
        space, Run(1), Options(), Console(quiet=True), ledger, unused, [], ready, remote / "toy"
    )
    with pytest.raises(UserError, match=r"another driver, process(.|\n)*--resume"):
        run_trials._run(what, attempts, unused, first)


def test_half_a_sign_is_waited_for_and_does_not_end_its_own_driver(
    first: LedgerBackup, remote: Location, tmp_path: Path, clock: Clock
) -> None:
    write_bytes(remote / "toy" / "driver", "sign.json", b'{"own')
    ledger_backup.restore_ledger(tmp_path / "other", remote, "toy")
    assert clock.now == pytest.approx(120.0)
    write_bytes(remote / "toy" / "driver", "sign.json", b"")
    first._heartbeat.beat()
    assert first.lost is None


def test_the_end_is_not_slept_through(begin: Callable[..., Ledger], tmp_path: Path) -> None:
    keeper = LedgerBackup(begin(), Location((tmp_path / "bucket").as_uri()) / "toy")
    clear = keeper._wake.clear

    def ended_just_before() -> None:
        keeper._ending.set()
        keeper._wake.set()
        clear()

    keeper._wake.clear = ended_just_before  # type: ignore[method-assign]
    keeper.start()
    keeper._wake.set()
    keeper._thread.join(10)
    assert not keeper._thread.is_alive()


def test_weights_that_a_better_trial_made_needless_while_they_came_do_not_stay(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT", 1)
    place = Location((tmp_path / "bucket").as_uri()) / "toy"
    ledger = begin()
    keeper = LedgerBackup(ledger, place)
    keeper.start()
    trained(ledger, place, tmp_path / "worker", [0.5])
    pull = replication.download

    def pull_while_another_ends(*words: Any) -> bool:
        monkeypatch.setattr(replication, "download", pull)
        trained(ledger, place, tmp_path / "worker", [0.25])
        return pull(*words)

    monkeypatch.setattr(replication, "download", pull_while_another_ends)
    keeper.fetch(0)
    left = sorted(path.name for path in ledger.latest_attempt(0).rglob("*") if path.is_file())
    assert left == ["validation.parquet"]


def test_a_storage_that_is_away_stops_nothing_and_is_named_at_the_end(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger_backup, "PATIENCE", 0.1)
    bucket = tmp_path / "bucket"
    ledger = begin()
    keeper = LedgerBackup(ledger, Location(bucket.as_uri()) / "toy")
    keeper.start()
    shutil.rmtree(bucket)
    bucket.touch()
    ledger.add_trial(0, {}, {})
    keeper.step()
    said = keeper.close()
    assert said is not None
    assert "has not got everything" in said
    assert "--resume" in said
    bucket.unlink()
    again = LedgerBackup(ledger, Location(bucket.as_uri()) / "toy")
    again.start()
    assert again.close() is None


@pytest.mark.parametrize("uri", ["s3://b/../../x", "s3://b/x?region=eu", "file:///", "gs://b"])
def test_the_drivers_own_folder_is_below_runs_and_nobody_elses(uri: str) -> None:
    folder, place = ledger_backup.resolve_storage(uri)
    assert folder.parent == Path("runs")
    assert ".." not in folder.name
    assert place is not None
    assert folder != ledger_backup.resolve_storage(uri + "y")[0]
    assert ledger_backup.resolve_storage("some/folder") == (Path("some/folder"), None)


@pytest.mark.parametrize(
    "uri", ["s3://me:planted@b/x", "abfs://:planted@b/x", "s3://b/x?secret_key=planted"]
)
def test_a_login_in_the_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID") as error:
        ledger_backup.resolve_storage(uri)
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("uri", ["foo://b/x", "file:///proc/nowhere"])
def test_a_storage_that_cannot_be_used_is_a_message(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{uri}(.|\n)*--storage"):
        ledger_backup.restore_ledger(tmp_path, Location(uri), "toy")


def test_a_bucket_that_is_not_there_is_a_message_without_secrets(s3: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobucket") as error:
        ledger_backup.restore_ledger(tmp_path, Location(s3.replace("bucket", "nobucket")), "toy")
    assert "planted-secret" not in str(error.value)


def test_a_machine_looks_for_the_drivers_folder(tmp_path: Path) -> None:
    sign = tmp_path / "shared" / ".seen"
    assert "does not see" in storage_check.check_node(sign, None)
    sign.parent.mkdir()
    sign.write_text(".seen")
    assert storage_check.check_node(sign, None) == ""
    assert [path.name for path in sign.parent.iterdir()] == [".seen"]
    assert storage_check.check_node(sign, Location((tmp_path / "bucket").as_uri())) == ""


@pytest.mark.slow
def test_a_cluster_of_which_one_machine_is_blind_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster: Any = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        ray.init(address=cluster.address, log_to_driver=False, include_dashboard=False)
        monkeypatch.chdir(tmp_path)
        blind = Path("/proc/self/cwd")  # each process has its own
        storage_check.check_nodes(blind, None)  # one machine: nothing to see
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        storage_check.check_nodes(tmp_path, None)
        storage_check.check_nodes(tmp_path, Location((tmp_path / "bucket").as_uri()))
        with pytest.raises(UserError, match=r"the machine (.|\n)*/proc/self/cwd(.|\n)*s3://"):
            storage_check.check_nodes(blind, None)
        assert list(tmp_path.glob(".seen*")) == []
    finally:
        ray.shutdown()
        cluster.shutdown()
