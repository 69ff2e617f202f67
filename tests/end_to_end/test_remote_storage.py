"""A search on remote storage, whose workers and whose driver's machine are lost."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cluster.storage import ledger_backup, replication
from cluster.storage.location import Location
from tests.end_to_end.test_search import assert_mlflow_has_the_ledger, opened, runs
from tests.support.faults.account import losses, undisturbed
from tests.support.paths import ROOT

TRIALS, REPORTS = 4, 8
PATIENCE = 240.0  # seconds: a driver on a busy machine starts slowly
SPACE = f"""
import os
SPACE = replace(SPACE, trials={TRIALS}, reports={REPORTS})
if "OFTEN" in os.environ:
    from cluster import copies
    copies.PERIOD = 0.2
"""


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    place = (tmp_path / "bucket").as_uri()
    yield place
    shutil.rmtree(ROOT / ledger_backup.resolve_storage(place)[0], ignore_errors=True)


def pids(folder: Path) -> list[tuple[int, int]]:
    """Give trial and process of every report."""
    return [
        (trial, int(report.metrics["pid"]))
        for trial, trial_log in opened_quietly(folder).items()
        for report in trial_log.reports
    ]


def opened_quietly(folder: Path) -> dict[int, Any]:
    """Read the trial_logs of a search that another process drives."""
    from cluster.ledger.trial_log import read_trial_log

    found = [read_trial_log(path) for path in sorted(folder.glob("trials/*/reports.jsonl"))]
    return {trial_log.trial: trial_log for trial_log in found if trial_log is not None}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_workers_and_the_drivers_disk_are_lost_and_the_numbers_are_the_same(
    start: Callable[..., Any],
    tune: Callable[..., tuple[int, str]],
    space_file: Callable[..., Path],
    tmp_path: Path,
    uri: str,
) -> None:
    path = space_file(SPACE)
    storage = ROOT / ledger_backup.resolve_storage(uri)[0]
    folder, remote = storage / "toy", Location(uri) / "toy"
    words = ("--space", path, "--storage", uri, "--sampler", "random", "--scheduler", "none")
    words += ("--concurrency", 2, "--set", "nap=0.5")
    cache = {"TUNERY_CACHE": str(tmp_path / "cache")}
    search = start(*words, OFTEN="1", **cache)
    search.until(lambda: len(pids(folder)) >= 3, PATIENCE)
    trial, worker = pids(folder)[-1]
    os.kill(worker, signal.SIGKILL)

    def gone_on() -> bool:
        trial_log = opened_quietly(folder)[trial]
        return bool(trial_log.failures) and trial_log.reports[-1].metrics["pid"] != worker

    search.until(gone_on, PATIENCE)
    before = len(pids(folder))
    search.until(lambda: len(pids(folder)) >= before + 2, PATIENCE)

    def copied() -> bool:
        found = replication.read_newest_index(remote / "ledger")
        return found is not None and f"trials/{trial:03d}/reports.jsonl" in found.files

    search.until(copied, PATIENCE)
    search.kill()
    search.wait()
    shutil.rmtree(storage)
    shutil.rmtree(tmp_path / "cache")

    code, said = tune("--space", path, "--storage", uri, "--resume", **cache)
    assert code == 0, said
    ledger = opened(folder)
    assert {s.outcome for s in ledger.trial_logs.values()} == {"complete"}
    assert losses(ledger) == undisturbed(path, tmp_path / "quiet", TRIALS, {"nap": 0.5})
    assert ledger.trial_logs[trial].attempts >= 2
    processes = {int(r.metrics["pid"]) for r in ledger.trial_logs[trial].reports}
    assert len(processes) >= 2  # each of them went on where the one before was

    assert_mlflow_has_the_ledger(storage)
    client, _, children = runs(storage)
    for run in children.values():
        files = client.list_artifacts(run.info.run_id, "checkpoint")
        assert sorted(Path(f.path).suffix for f in files) == [".json", ".safetensors"]
        assert len(client.list_artifacts(run.info.run_id, "predictions")) == 1
    assert replication.list_folders(remote / "attempts") == []
    found = replication.read_newest_index(remote / "ledger")
    assert found is not None
    assert set(found.files) == set(replication.list_files(folder))
    assert not [p for p in (tmp_path / "cache" / "attempts").rglob("*") if p.is_file()]
