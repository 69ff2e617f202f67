"""The trials of a ledger, without Ray: outcome, exit code, and what ends a search."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.tracking import MlflowClient
from rich.console import Console

from cluster.execution.attempt import WorkerSettings
from cluster.execution.executor import Executor
from cluster.execution.time_limits import TimeLimits
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import read_settings
from cluster.options import Options
from cluster.sampling.study import Study
from cluster.storage import lease, replication
from cluster.storage.ledger_backup import LedgerBackup
from cluster.storage.location import Location
from cluster.storage.storage import Storage
from cluster.tracking.client import open_client
from cluster.tuning import run_trials
from cluster.tuning.run_trials import BEHIND, NO_SCORE, TrialsJob, TrialsResult
from searchspaces.space import SearchSpace
from tests.support.reports import make_result
from trainables.errors import INTERRUPTED, UserError
from trainables.run import Run


@pytest.mark.parametrize(
    ("finished", "out_of_time", "has_score", "problem", "code", "text"),
    [
        (True, False, True, None, 0, ""),
        (True, False, False, None, NO_SCORE, ""),
        (True, False, True, "MLflow is not complete", BEHIND, "MLflow is not complete"),
        (True, False, False, "MLflow is not complete", BEHIND, "MLflow is not complete"),
        (False, True, True, None, 0, "the time budget is used up: continue with the same command"),
        (False, True, False, None, 0, "the time budget is used up"),
        (False, False, True, None, INTERRUPTED, "interrupted: continue with the same command"),
        (False, False, True, "no answer", INTERRUPTED, "no answer\ninterrupted: continue with"),
        (False, True, True, "no answer", BEHIND, "no answer\nthe time budget is used up"),
    ],
)
def test_the_exit_code_says_how_the_trials_ended(
    finished: bool,
    out_of_time: bool,
    has_score: bool,
    problem: str | None,
    code: int,
    text: str,
) -> None:
    out = io.StringIO()
    outcome = TrialsResult(finished, out_of_time, has_score, 0, problem)
    assert outcome.exit_code(Console(file=out, width=200)) == code
    assert out.getvalue().startswith(text)
    assert bool(out.getvalue()) == bool(text)


def test_an_interrupted_fresh_search_names_the_option_to_replace() -> None:
    out = io.StringIO()
    TrialsResult(False, False, False, 0, None, "fresh").exit_code(Console(file=out, width=200))
    assert "continue with the same command and --resume instead of --fresh" in out.getvalue()


def make_job(
    ledger: Ledger,
    space: SearchSpace[Any],
    client: MlflowClient,
    run: Callable[..., bool] | None,
    remote: Location | None = None,
    **options: Any,
) -> TrialsJob:
    worker = WorkerSettings("toy", ledger.folder, Run(4))
    return TrialsJob(
        space=space,
        run=Run(4, cache=ledger.folder.parent / "cache"),
        options=Options(storage=Storage(ledger.folder.parent, remote), **options),
        ledger=ledger,
        client=client,
        initial_trials=[],
        executor=Executor(worker, {"cpu": 1.0, "gpu": 0.0}, run) if run else None,
    )


def complete_all(queue: TrialQueue) -> None:
    while not queue.finished and (attempt := queue.next_attempt()):
        queue.record_result(attempt.trial, make_result(0.5))
        queue.record_end(attempt.trial, "complete")


def test_trials_run_until_each_has_its_outcome_here_and_in_mlflow(
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    database: str,
) -> None:
    seen: list[WorkerSettings] = []

    def run(queue: TrialQueue, worker: WorkerSettings, *_: Any) -> bool:
        seen.append(worker)
        complete_all(queue)
        return queue.ledger.finished

    ledger, client = begin(tracking_uri=database), open_client(database)
    outcome = run_trials.run_trials(make_job(ledger, space, client, run), Console(quiet=True))
    assert replace(outcome, experiment="") == TrialsResult(True, False, True, 0, None)
    assert outcome.experiment
    assert seen[0].folder == ledger.folder.resolve()
    assert seen[0].remote is None
    assert read_settings(ledger.folder).resources == {"cpu": 1.0, "gpu": 0.0}
    runs = client.search_runs(["1"])
    assert sorted(run.info.status for run in runs) == ["FINISHED"] * 5


def test_a_finished_search_needs_no_executor(
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    open_study: Callable[..., Study],
    database: str,
) -> None:
    ledger = begin(tracking_uri=database)
    complete_all(TrialQueue(ledger, open_study(ledger, space)))
    job = make_job(ledger, space, open_client(database), run=None)
    assert run_trials.run_trials(job, Console(quiet=True)).finished


def test_workers_of_a_remote_search_save_on_their_own_disk_and_upload(
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    database: str,
    tmp_path: Path,
) -> None:
    seen: list[WorkerSettings] = []

    def run(queue: TrialQueue, worker: WorkerSettings, *_: Any) -> bool:
        seen.append(worker)
        return True

    ledger = begin(tracking_uri=database)
    remote = Location((tmp_path / "bucket").as_uri())
    job = make_job(ledger, space, open_client(database), run, remote)
    run_trials.run_trials(job, Console(quiet=True))
    assert seen[0].folder == job.run.cache / "attempts" / ledger.id / "toy"
    assert seen[0].remote == remote / "toy" / "attempts"
    assert replication.read_newest_index(remote / "toy" / "ledger") is not None


def test_the_time_budget_ends_the_trials(
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    database: str,
) -> None:
    def run(queue: TrialQueue, *_: Any) -> bool:
        assert (queue.limits.report, queue.limits.attempt) == (5.0, 9.0)
        assert queue.limits.deadline is not None
        queue.limits = TimeLimits(deadline=0.0)
        return queue.ledger.finished

    ledger = begin(tracking_uri=database)
    job = make_job(
        ledger,
        space,
        open_client(database),
        run,
        time_budget=60.0,
        report_timeout=5.0,
        trial_timeout=9.0,
    )
    outcome = run_trials.run_trials(job, Console(quiet=True))
    assert (outcome.finished, outcome.out_of_time) == (False, True)


def test_a_driver_that_has_lost_its_search_ends_it(
    remote: Location,
    begin: Callable[..., Ledger],
    space: SearchSpace[Any],
    open_study: Callable[..., Study],
) -> None:
    ledger = begin(tracking_uri="http://server:5000")
    backup = LedgerBackup(ledger, remote / "lost")
    backup.start()

    def run(queue: TrialQueue, *others: Any) -> bool:
        on_step = others[-1]
        on_step()
        assert not queue.finished
        lease.write_lease(remote / "lost", "another", 30.0)
        with pytest.raises(UserError):
            backup._copy()
        on_step()
        assert queue.finished
        raise queue.storage_error or AssertionError

    backup._due = math.inf
    queue = TrialQueue(ledger, open_study(ledger, space))
    tracker: Any = SimpleNamespace(behind="")
    job = make_job(ledger, space, tracker, run, remote)
    with pytest.raises(UserError, match=r"another driver, process(.|\n)*--resume"):
        run_trials._run_on_executor(job, queue, tracker, backup, Console(quiet=True))
    backup.close()


def test_what_is_behind_is_named_with_the_reason() -> None:
    tracker: Any = SimpleNamespace(behind="")
    backup: Any = SimpleNamespace(behind="it is slow")
    assert run_trials._make_delay_description(tracker, None)() == ""
    assert run_trials._make_delay_description(tracker, backup)() == "copy: it is slow"
    tracker.behind = "no answer"
    assert (
        run_trials._make_delay_description(tracker, backup)()
        == "MLflow: no answer; copy: it is slow"
    )
