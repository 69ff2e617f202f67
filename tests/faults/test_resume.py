"""Searches whose driver or workers are killed, and that go on as if nothing had happened."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.test_search import assert_mlflow_has_the_ledger, opened, runs, study
from tests.support.faults.account import losses, undisturbed

pytestmark = [pytest.mark.fault, pytest.mark.timeout(300)]

Start = Callable[..., Any]
Tune = Callable[..., tuple[int, str]]

TRIALS = 5
SPACE = f"SPACE = replace(SPACE, trials={TRIALS}, reports=5)"
PLAIN = ("--sampler", "random", "--scheduler", "none", "--concurrency", 2, "--set", "nap=0.2")


def heard(folder: Path) -> list[str]:
    """Give the lines that the ledger has so far, of all trials."""
    files = folder.glob("trials/*/reports.jsonl")
    return [line for path in files for line in path.read_text().splitlines()]


def reports(folder: Path) -> int:
    return sum('"report": ' in line for line in heard(folder))


def assert_whole(storage: Path, space_file: Path) -> None:
    """The search is as one that was never interrupted."""
    ledger = opened(storage / "toy")
    assert len(ledger.trial_logs) == TRIALS
    assert {s.outcome for s in ledger.trial_logs.values()} == {"complete"}
    assert losses(ledger) == undisturbed(
        space_file, storage.parent / "undisturbed", TRIALS, {"nap": 0.2}
    )
    trials = study(storage / "toy")
    assert [t.state.name for t in trials] == ["COMPLETE"] * TRIALS
    assert_mlflow_has_the_ledger(storage)
    for trial in ledger.trial_logs:
        attempts = list((storage / "toy" / "trials" / f"{trial:03d}").glob("attempt-*"))
        assert attempts == [ledger.latest_attempt(trial)]
        assert sorted(p.name for p in attempts[0].iterdir()) == ["best"]
        assert not list(attempts[0].rglob("*.part"))
    client, _, children = runs(storage)
    for run in children.values():
        files = [Path(f.path).suffix for f in client.list_artifacts(run.info.run_id, "checkpoint")]
        assert sorted(files) == [".json", ".safetensors"]


def worker_of(folder: Path) -> int | None:
    """Find the process of a worker that trains, by what its trials report."""
    for path in sorted(folder.glob("trials/*/reports.jsonl")):
        lines = path.read_text().splitlines()
        if lines and '"report": ' in lines[-1] and '"report": 5' not in lines[-1]:
            return int(float(lines[-1].split('"pid": ')[1].split("}")[0]))
    return None


def test_a_killed_worker_and_a_killed_driver_leave_no_trace(
    start: Start, tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    search = start("--space", path, *PLAIN)
    search.until(lambda: reports(folder) >= 3 and worker_of(folder))
    worker = worker_of(folder)
    assert worker is not None
    os.kill(worker, signal.SIGKILL)
    search.until(lambda: any('"error": ' in line for line in heard(folder)))
    before = reports(folder)
    search.until(lambda: reports(folder) >= before + 3)
    search.kill()
    search.wait()
    cut = sorted(folder.glob("trials/*/reports.jsonl"))[0]
    cut.write_bytes(cut.read_bytes()[:-5])  # as if killed in the middle of a line
    with (folder / "study.journal").open("a") as journal:
        journal.write('{"op_code":')

    code, said = tune("--space", path, "--resume")
    assert code == 0, said
    assert_whole(tmp_path / "runs", path)
    failures = [f for s in opened(folder).trial_logs.values() for f in s.failures]
    assert [f.failure_class for f in failures] == ["failed"]
    assert "worker process has died" in failures[0].traceback


@pytest.mark.parametrize(
    "moment",
    ["settings", "first trial", "first outcome", "last report", "twice"],
)
def test_the_driver_may_be_killed_at_any_moment(
    start: Start, tune: Tune, space_file: Callable[..., Path], tmp_path: Path, moment: str
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    reached: dict[str, Callable[[], object]] = {
        "settings": lambda: (folder / "search.json").exists(),
        "first trial": lambda: heard(folder),
        "first outcome": lambda: any('"outcome"' in line for line in heard(folder)),
        "last report": lambda: reports(folder) == 5 * TRIALS,
        "twice": lambda: reports(folder) >= 4,
    }
    search = start("--space", path, *PLAIN)
    search.until(reached[moment])
    search.kill()
    search.wait()
    if moment == "twice":
        before = reports(folder)
        search = start("--space", path, "--resume")
        search.until(lambda: reports(folder) >= before + 4)
        search.kill()
        search.wait()
    code, said = tune("--space", path, "--resume")
    assert code == 0, said
    assert_whole(tmp_path / "runs", path)


def test_an_interrupted_search_and_one_whose_time_is_up_go_on_later(
    start: Start, tune: Tune, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    path = space_file(SPACE)
    folder = tmp_path / "runs" / "toy"
    search = start("--space", path, *PLAIN, "--fresh")
    search.until(lambda: reports(folder) >= 3)
    os.kill(search.pid, signal.SIGTERM)  # what Slurm, systemd and containers do
    assert search.wait() == 130
    assert "--resume in the place of --fresh goes on" in search.said
    assert "Traceback" not in search.said and "SIGTERM" not in search.said
    search = start("--space", path, *PLAIN, "--resume")
    search.until(lambda: reports(folder) >= 5)
    os.killpg(search.pid, signal.SIGINT)  # what Ctrl-C does: all of its session hear it
    assert search.wait() == 130
    assert "--resume goes on" in search.said
    assert "Traceback" not in search.said
    _, (parent,), children = runs(tmp_path / "runs")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in children.values()}
    unfinished = [s.trial for s in opened(folder).trial_logs.values() if s.outcome is None]
    assert unfinished

    code, said = tune("--space", path, "--resume", "--time-budget", "0.1s")
    assert code == 0, said
    assert "the time budget is spent: the same command with --resume goes on" in said
    _, (parent,), children = runs(tmp_path / "runs")
    assert parent.info.status == "KILLED"
    assert "RUNNING" not in {run.info.status for run in children.values()}
    assert [s.trial for s in opened(folder).trial_logs.values() if s.outcome is None] == unfinished

    code, said = tune("--space", path, "--resume")
    assert code == 0, said
    assert_whole(tmp_path / "runs", path)
