"""The driver's side of remote storage, on `file://` and on an S3 of moto's."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster import copies, sight
from cluster import ledger as ledgers
from cluster.copies import Copies
from cluster.ledger import Ledger
from cluster.search import kind
from trainables import mirror
from trainables.errors import UserError
from trainables.mirror import Place
from trainables.trainable import owner_of


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
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "file":
        yield Place((tmp_path / "bucket").as_uri())
        return
    place = Place(request.getfixturevalue("s3"))
    yield place
    mirror.delete(place)


def trained(ledger: Ledger, place: Place, work: Path, losses: list[float]) -> int:
    """Do what a driver and a worker do for a trial, up to its outcome."""
    trial = len(ledger.stories)
    ledger.begin(trial, {"width": trial}, {"width": trial})
    ledger.attempt(trial)
    best = work / str(trial) / "best"
    best.mkdir(parents=True)
    for name in ("manifest.json", "state-1.safetensors", "validation.parquet", "map.png"):
        (best / name).write_text(f"{name} of {trial}")
    owner = owner_of({"width": trial})
    mirror.push(work / str(trial), place / "attempts" / f"{trial:03d}" / "1", owner)
    history = [{"report": n, "seconds": 1.0, "metrics": {"loss": x}} for n, x in enumerate(losses)]
    ledger.hear(trial, [{**entry, "report": entry["report"] + 1} for entry in history], {})
    ledger.end(trial, "complete")
    ledger.settle(trial)
    return trial


def test_a_lost_disk_is_brought_back_with_all_that_ended_trials_left(
    remote: Place, begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT", 1)
    storage = tmp_path / "runs"
    ledger = begin(tracking_uri=f"sqlite:////elsewhere/{storage.name}/mlflow.db")
    place = remote / "toy"
    keeper = Copies(ledger, place)
    keeper.start()
    for losses in ([0.5], [0.25], [0.75]):
        trained(ledger, place, tmp_path / "worker", losses)
    keeper.fetch(0)
    assert not (ledger.newest_attempt(1) / "best").exists()
    assert keeper.close() is None
    assert mirror.folders(place / "attempts") == []
    left = sorted(p.relative_to(ledger.folder).as_posix() for p in ledger.folder.rglob("best/*"))
    kept = ("manifest.json", "map.png", "state-1.safetensors", "validation.parquet")
    assert left == [
        "trials/000/attempt-1/best/validation.parquet",
        *(f"trials/001/attempt-1/best/{name}" for name in kept),
        "trials/002/attempt-1/best/validation.parquet",
    ]
    ledger.close()
    text = {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")}
    copies.restore(storage, remote, "toy")  # here nothing is lost, and nothing changes
    assert {p: p.read_bytes() for p in ledger.folder.rglob("*.jsonl")} == text

    shutil.rmtree(storage)
    copies.restore(storage, remote, "toy")
    again = ledgers.reopen(storage / "toy")
    assert {p: p.read_bytes() for p in again.folder.rglob("*.jsonl")} == text
    found = sorted(p.relative_to(again.folder).as_posix() for p in again.folder.rglob("best/*"))
    assert found == left
    assert again.settings["tracking_uri"] == f"sqlite:///{storage / 'mlflow.db'}"
    assert again.settings["id"] == ledger.id
    again.close()


def test_what_ended_after_the_look_keeps_its_attempts(
    begin: Callable[..., Ledger], tmp_path: Path
) -> None:
    place = Place((tmp_path / "bucket").as_uri()) / "toy"
    ledger = begin()
    keeper = Copies(ledger, place)
    keeper.start()
    keeper._look()
    trained(ledger, place, tmp_path / "worker", [0.5])
    keeper.fetch(0)
    keeper._round()
    assert mirror.folders(place / "attempts") == ["000"]
    found = mirror.newest(place / "ledger")
    assert found is not None
    assert "trials/000/reports.jsonl" not in found.files
    assert keeper.close() is None
    assert mirror.folders(place / "attempts") == []


def test_who_goes_on_elsewhere_has_the_search_from_then_on(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "PATIENCE", 1.0)
    remote = Place((tmp_path / "bucket").as_uri())
    ledger = begin(tracking_uri="http://server:5000")
    first = Copies(ledger, remote / "toy")
    first.start()
    copies.restore(tmp_path / "other", remote, "toy")
    other = ledgers.reopen(tmp_path / "other" / "toy")
    second = Copies(other, remote / "toy")
    second.start()
    trained(other, remote / "toy", tmp_path / "worker", [0.5])
    assert second.close() is None
    said = first.close()
    assert said is not None
    assert "another driver" in said
    with pytest.raises(UserError, match="another process is running"):
        copies.restore(tmp_path / "runs", remote, "toy")
    ledger.close()
    copies.restore(tmp_path / "runs", remote, "toy")
    assert len(ledgers.reopen(tmp_path / "runs" / "toy").stories) == 1


def test_a_storage_that_is_away_stops_nothing_and_is_named_at_the_end(
    begin: Callable[..., Ledger], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies, "PATIENCE", 0.1)
    bucket = tmp_path / "bucket"
    ledger = begin()
    keeper = Copies(ledger, Place(bucket.as_uri()) / "toy")
    keeper.start()
    shutil.rmtree(bucket)
    bucket.touch()
    ledger.begin(0, {}, {})
    keeper.step()
    said = keeper.close()
    assert said is not None
    assert "has not got everything" in said
    assert "--resume" in said
    bucket.unlink()
    again = Copies(ledger, Place(bucket.as_uri()) / "toy")
    again.start()
    assert again.close() is None


@pytest.mark.parametrize("uri", ["s3://b/../../x", "s3://b/x?region=eu", "file:///", "gs://b"])
def test_the_drivers_own_folder_is_below_runs_and_nobody_elses(uri: str) -> None:
    folder, place = copies.home(uri)
    assert folder.parent == Path("runs")
    assert ".." not in folder.name
    assert place is not None
    assert folder != copies.home(uri + "y")[0]
    assert copies.home("some/folder") == (Path("some/folder"), None)


@pytest.mark.parametrize(
    "uri", ["s3://me:planted@b/x", "abfs://:planted@b/x", "s3://b/x?secret_key=planted"]
)
def test_a_login_in_the_uri_is_refused_and_not_repeated(uri: str) -> None:
    with pytest.raises(UserError, match="AWS_ACCESS_KEY_ID") as error:
        copies.home(uri)
    assert "planted" not in str(error.value)


@pytest.mark.parametrize("uri", ["foo://b/x", "file:///proc/nowhere"])
def test_a_storage_that_cannot_be_used_is_a_message(uri: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"{uri}(.|\n)*--storage"):
        copies.restore(tmp_path, Place(uri), "toy")


def test_a_bucket_that_is_not_there_is_a_message_without_secrets(s3: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobucket") as error:
        copies.restore(tmp_path, Place(s3.replace("bucket", "nobucket")), "toy")
    assert "planted-secret" not in str(error.value)


def test_a_trial_whose_storage_was_away_too_long_counts_as_lost() -> None:
    error = "trainables.mirror.RemoteError: the remote storage did not answer for 120 s: no route"
    assert kind(f"ray::There.train()\n  File x\n{error}") == "lost"


def test_a_machine_looks_for_the_drivers_folder(tmp_path: Path) -> None:
    sign = tmp_path / "shared" / ".seen"
    assert "does not see" in sight.look(sign, None)
    sign.parent.mkdir()
    sign.write_text(".seen")
    assert sight.look(sign, None) == ""
    assert [path.name for path in sign.parent.iterdir()] == [".seen"]
    assert sight.look(sign, Place((tmp_path / "bucket").as_uri())) == ""


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
        sight.check(blind, None)  # one machine: nothing to see
        cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        sight.check(tmp_path, None)
        sight.check(tmp_path, Place((tmp_path / "bucket").as_uri()))
        with pytest.raises(UserError, match=r"the machine (.|\n)*/proc/self/cwd(.|\n)*s3://"):
            sight.check(blind, None)
        assert list(tmp_path.glob(".seen*")) == []
    finally:
        ray.shutdown()
        cluster.shutdown()
