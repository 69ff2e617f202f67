"""A search on remote storage, whose workers and whose driver's machine are lost."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.storage import open_storage
from tests.support.faults.account import read_losses, train_undisturbed
from tests.support.paths import ROOT
from tests.support.searches import (
    assert_mlflow_equals_ledger,
    read_ledger,
    read_runs,
    read_trial_logs,
)

TRIALS, REPORTS = 4, 8
PATIENCE = 240.0  # seconds: a driver on a busy machine starts slowly
SPACE = f"""
import os
SPACE = replace(SPACE, trials={TRIALS}, reports={REPORTS})
if "OFTEN" in os.environ:
    from cluster.storage import ledger_backup
    ledger_backup.PERIOD = 0.2
"""


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    location = (tmp_path / "bucket").as_uri()
    yield location
    shutil.rmtree(ROOT / open_storage(location).folder, ignore_errors=True)


def list_pids(folder: Path) -> list[tuple[int, int]]:
    """Return trial and process of every report."""
    return [
        (trial, int(report.metrics["pid"]))
        for trial, trial_log in read_trial_logs(folder).items()
        for report in trial_log.reports
    ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_loss_of_workers_and_of_the_drivers_disk_changes_no_number(
    start: Callable[..., Any],
    tune: Callable[..., tuple[int, str]],
    space_file: Callable[..., Path],
    tmp_path: Path,
    uri: str,
) -> None:
    path = space_file(SPACE)
    storage = ROOT / open_storage(uri).folder
    folder, remote = storage / "toy", Location(uri) / "toy"
    words = ("--space", path, "--storage", uri, "--sampler", "random", "--scheduler", "none")
    words += ("--concurrency", 2, "--set", "nap=0.5")
    cache = {"TUNERY_CACHE": str(tmp_path / "cache")}
    search = start(*words, OFTEN="1", **cache)
    search.wait_until(lambda: len(list_pids(folder)) >= 3, PATIENCE)
    trial, worker = list_pids(folder)[-1]
    os.kill(worker, signal.SIGKILL)

    def has_continued() -> bool:
        trial_log = read_trial_logs(folder)[trial]
        return bool(trial_log.failures) and trial_log.reports[-1].metrics["pid"] != worker

    search.wait_until(has_continued, PATIENCE)
    before = len(list_pids(folder))
    search.wait_until(lambda: len(list_pids(folder)) >= before + 2, PATIENCE)

    def is_copied() -> bool:
        found = replication.read_newest_index(remote / "ledger")
        return found is not None and f"trials/{trial:03d}/reports.jsonl" in found.files

    search.wait_until(is_copied, PATIENCE)
    search.kill()
    search.wait()
    shutil.rmtree(storage)
    shutil.rmtree(tmp_path / "cache")

    code, output = tune("--space", path, "--storage", uri, "--resume", **cache)
    assert code == 0, output
    ledger = read_ledger(folder)
    assert {s.outcome for s in ledger.trial_logs.values()} == {"complete"}
    assert read_losses(ledger) == train_undisturbed(path, tmp_path / "quiet", TRIALS, {"nap": 0.5})
    assert ledger.trial_logs[trial].attempts >= 2
    processes = {int(r.metrics["pid"]) for r in ledger.trial_logs[trial].reports}
    assert len(processes) >= 2  # each continued after the one before

    assert_mlflow_equals_ledger(storage)
    client, _, children = read_runs(storage)
    for run in children.values():
        files = client.list_artifacts(run.info.run_id, "checkpoint")
        assert sorted(Path(f.path).suffix for f in files) == [".json", ".safetensors"]
        assert len(client.list_artifacts(run.info.run_id, "predictions")) == 1
    assert replication.list_folders(remote / "attempts") == []
    found = replication.read_newest_index(remote / "ledger")
    assert found is not None
    assert set(found.files) == set(replication.list_files(folder))
    assert not [p for p in (tmp_path / "cache" / "attempts").rglob("*") if p.is_file()]
