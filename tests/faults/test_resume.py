"""Searches whose driver or workers are killed continue as if nothing had happened."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.faults.account import read_losses, train_undisturbed
from tests.support.searches import (
    assert_mlflow_equals_ledger,
    count_reports,
    read_ledger,
    read_lines,
    read_runs,
    read_study,
)

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

Start = Callable[..., Any]
Tune = Callable[..., tuple[int, str]]

TRIALS = 5
SPACE = f"SPACE = replace(SPACE, trials={TRIALS}, reports=5)"
PLAIN = ("--sampler", "random", "--scheduler", "none", "--set", "nap=0.2")


def assert_whole(storage: Path, space_file: Path) -> None:
    """Check that the search equals one that was never interrupted."""
    ledger = read_ledger(storage / "toy")
    assert len(ledger.trial_logs) == TRIALS
    assert {s.outcome for s in ledger.trial_logs.values()} == {"complete"}
    assert read_losses(ledger) == train_undisturbed(
        space_file, storage.parent / "undisturbed", TRIALS, {"nap": 0.2}
    )
    trials = read_study(storage / "toy")
    assert [t.state.name for t in trials] == ["COMPLETE"] * TRIALS
    assert_mlflow_equals_ledger(storage)
    for trial in ledger.trial_logs:
        attempts = list((storage / "toy" / "trials" / f"{trial:03d}").glob("attempt-*"))
        assert attempts == [ledger.latest_attempt(trial)]
        assert sorted(p.name for p in attempts[0].iterdir()) == ["best"]
        assert not list(attempts[0].rglob("*.part"))
    client, _, children = read_runs(storage)
    for run in children.values():
        files = [Path(f.path).suffix for f in client.list_artifacts(run.info.run_id, "checkpoint")]
        assert sorted(files) == [".json", ".safetensors"]


def find_worker(folder: Path) -> int | None:
    """Return the process of a worker that trains, by the reports of its trials."""
    for path in sorted(folder.glob("trials/*/reports.jsonl")):
        lines = path.read_text().splitlines()
        if lines and '"report": ' in lines[-1] and '"report": 5' not in lines[-1]:
            return int(float(lines[-1].split('"pid": ')[1].split("}")[0]))
    return None


def test_a_killed_worker_and_a_killed_driver_change_nothing(
    start: Start, tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    search = start("--space", path, *PLAIN, "--concurrency", 2)
    search.wait_until(lambda: count_reports(folder) >= 3 and find_worker(folder))
    worker = find_worker(folder)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    search.wait_until(lambda: any('"failure": ' in line for line in read_lines(folder)))
    before = count_reports(folder)
    search.wait_until(lambda: count_reports(folder) >= before + 3)
    search.kill()
    search.wait()
    cut = sorted(folder.glob("trials/*/reports.jsonl"))[0]
    cut.write_bytes(cut.read_bytes()[:-5])  # as if killed in the middle of a line
    with (folder / "study.journal").open("a") as journal:
        journal.write('{"op_code":')

    code, output = tune("--space", path, "--resume")
    assert code == 0, output
    assert_whole(tmp_path / "runs", path)
    failures = [f for s in read_ledger(folder).trial_logs.values() for f in s.failures]
    assert [f.failure_class for f in failures] == ["failed"]
    assert "worker process has died" in failures[0].traceback


@pytest.mark.parametrize(
    ("executor", "moment"),
    [
        ("inline", "settings"),
        ("ray", "first trial"),
        ("inline", "first outcome"),
        ("inline", "last report"),
        ("ray", "twice"),
    ],
)
def test_the_driver_may_be_killed_at_any_moment(
    start: Start,
    tune: Tune,
    space_file: Callable[..., Path],
    tmp_path: Path,
    executor: str,
    moment: str,
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    reached: dict[str, Callable[[], object]] = {
        "settings": lambda: (folder / "search.json").exists(),
        "first trial": lambda: read_lines(folder),
        "first outcome": lambda: any('"outcome"' in line for line in read_lines(folder)),
        "last report": lambda: count_reports(folder) == 5 * TRIALS,
        "twice": lambda: count_reports(folder) >= 4,
    }
    where = ("--executor", executor)
    search = start("--space", path, *PLAIN, *where)
    search.wait_until(reached[moment])
    search.kill()
    search.wait()
    if moment == "twice":
        before = count_reports(folder)
        search = start("--space", path, "--resume", *where)
        search.wait_until(lambda: count_reports(folder) >= before + 4)
        search.kill()
        search.wait()
    code, output = tune("--space", path, "--resume", *where)
    assert code == 0, output
    assert_whole(tmp_path / "runs", path)


def list_unfinished(folder: Path) -> list[int]:
    return [log.trial for log in read_ledger(folder).trial_logs.values() if log.outcome is None]


def test_an_interrupted_search_and_one_out_of_time_can_be_continued(
    start: Start, tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    search = start("--space", path, *PLAIN, "--concurrency", 2, "--fresh")
    search.wait_until(lambda: count_reports(folder) >= 3)
    processes = psutil.Process(search.pid).children(recursive=True)
    assert len(processes) >= 6, "Ray and two workers"
    os.kill(search.pid, signal.SIGTERM)  # what Slurm, systemd and containers do,
    os.killpg(search.pid, signal.SIGTERM)  # and `timeout` once more to the group
    assert search.wait() == 130
    advice = "interrupted: continue with the same command and --resume"
    assert f"{advice} instead of --fresh" in search.output
    assert "Traceback" not in search.output and "SIGTERM" not in search.output
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert not alive, [process.name() for process in alive]
    search = start("--space", path, *PLAIN, "--concurrency", 2, "--resume")
    search.wait_until(lambda: count_reports(folder) >= 5)
    os.killpg(search.pid, signal.SIGINT)  # what Ctrl-C does: the whole session gets it
    assert search.wait() == 130
    assert advice in search.output
    assert "Traceback" not in search.output
    _, (parent,), children = read_runs(tmp_path / "runs")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in children.values()}
    unfinished = list_unfinished(folder)
    assert unfinished

    code, output = tune("--space", path, "--resume", "--time-budget", "0.1s")
    assert code == 0, output
    assert "the time budget is used up: continue with the same command and --resume" in output
    _, (parent,), children = read_runs(tmp_path / "runs")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in children.values()}
    assert list_unfinished(folder) == unfinished

    code, output = tune("--space", path, "--resume")
    assert code == 0, output
    assert_whole(tmp_path / "runs", path)
