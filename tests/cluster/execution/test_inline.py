"""Searches in this process: outcomes, retries, early stopping, interruption and random states."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cluster.execution import inline
from cluster.execution.attempt import WorkerSettings
from cluster.execution.inline import Interruption
from cluster.execution.time_limits import BUDGET_GRACE, TimeLimits
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from searchspaces.loading import load_space
from tests.support.searches import describe_trials, read_ledger
from trainables.errors import INTERRUPTED, UserError
from trainables.run import Run

Search = Callable[..., TrialQueue]


@pytest.fixture
def search(
    space_file: Callable[..., Path],
    begin: Callable[..., Ledger],
    open_study: Callable[..., Study],
    tmp_path: Path,
) -> Search:
    """Return a function that runs a search whose first trials have these configurations."""

    def run(
        *configs: dict[str, Any],
        ledger: Ledger | None = None,
        concurrency: int = 1,
        on_step: Callable[[TrialQueue], None] = lambda queue: None,
        limits: TimeLimits | None = None,
        **settings: Any,
    ) -> TrialQueue:
        file = space_file(f"SPACE = replace(SPACE, initial_configs={configs!r})")
        space = load_space(str(file))
        if ledger is None:
            ledger = begin(**{"trials": len(configs) + 1, **settings})
        queue = TrialQueue(ledger, open_study(ledger, space), limits or TimeLimits())
        setup = Run(ledger.settings.reports, "loss", "min", cache=tmp_path / "cache")
        worker = WorkerSettings(str(file), ledger.folder, setup)
        finished = inline.run(queue, worker, concurrency, lambda: on_step(queue))
        assert finished == ledger.finished
        return queue

    return run


def test_a_report_that_hangs_is_ended_and_retried(search: Search) -> None:
    torch.optim.SGD([torch.zeros(1, requires_grad=True)])  # its imports may take longer
    queue = search({"behave": "hang"}, limits=TimeLimits(report=3.0), trials=2)
    hanging, other = queue.ledger.trial_logs[1], queue.ledger.trial_logs[0]
    assert (other.outcome, hanging.outcome) == ("complete", "failed")
    assert [f.failure_class for f in hanging.failures] == ["timeout"] * 3
    assert "report 2 took longer than --report-timeout" in hanging.failures[0].message


def test_the_time_budget_ends_a_report_that_hangs(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.execution.time_limits.BUDGET_GRACE", 0.2)
    deadline = time.monotonic() + 5.0
    queue = search({"behave": "hang"}, limits=TimeLimits(deadline=deadline), trials=2)
    assert queue.out_of_time
    assert queue.ledger.trial_logs[1].outcome == "stopped"
    assert queue.ledger.trial_logs[1].reason == "time budget"


def test_trials_fail_are_retried_diverge_and_end_early(search: Search) -> None:
    behaviours = ("raise", "nan", "early", "out_of_memory", "exit")
    steps: list[int] = []
    queue = search(
        *({"behave": name} for name in behaviours),
        on_step=lambda queue: steps.append(len(queue.running)),
    )
    logs = queue.ledger.trial_logs
    assert [logs[n].outcome for n in range(6)] == [
        *("complete", "failed", "diverged", "complete", "complete", "failed")
    ]
    assert [logs[n].done for n in range(6)] == [4, 1, 2, 1, 4, 1]
    assert [f.failure_class for f in logs[1].failures] == ["failed"] * 3
    assert logs[1].failures[-1].message == "RuntimeError: the task broke on purpose"
    assert [f.failure_class for f in logs[4].failures] == ["out_of_memory"]
    assert [f.message for f in logs[5].failures] == ["SystemExit: 3"] * 3
    assert logs[0].spans[0][2].endswith("/cpu")
    states = [trial.state.name for trial in queue.study.study.trials]
    assert states == ["COMPLETE", "FAIL", "PRUNED", "COMPLETE", "COMPLETE", "FAIL"]
    assert set(steps) == {0, 1}


def test_settings_of_a_trial_are_neither_the_drivers_nor_the_next_ones(
    runs: Path, tune_inline: Callable[..., tuple[int, str]], space_file: Callable[..., Path]
) -> None:
    lines = """
import numpy as np
import warnings
def change(config, run):
    first = torch.get_default_dtype() == torch.float32
    torch.set_default_dtype(torch.float64)
    warnings.simplefilter("error")
    np.seterr(all="raise")
    for metrics in train(config, run):
        assert torch.get_default_dtype() == torch.float64
        yield {**metrics, "first": first, "raises": np.geterr()["divide"] == "raise"}
SPACE = replace(SPACE, train=change, trials=3, reports=2)
"""
    numpy, filters = np.geterr(), list(warnings.filters)
    code, output = tune_inline("--space", space_file(lines), "--concurrency", "2")
    assert code == 0, output
    logs = read_ledger(runs / "toy").trial_logs.values()
    reports = [report.metrics for log in logs for report in log.reports]
    assert {(r["first"], r["raises"]) for r in reports} == {(1.0, 1.0)}
    assert (torch.get_default_dtype(), np.geterr()) == (torch.float32, numpy)
    assert warnings.filters == filters


def test_concurrent_trials_take_turns_and_have_their_own_random_states(search: Search) -> None:
    configs = ({"seed": 1}, {"seed": 2}, {"behave": "out_of_memory", "seed": 3}, {"seed": 4})
    alone = search(*configs)
    together = search(*configs, name="other", concurrency=3)
    assert describe_trials(alone.ledger) == describe_trials(together.ledger)
    times = {
        trial: [report.time for report in log.reports]
        for trial, log in together.ledger.trial_logs.items()
    }
    assert times[0][0] < times[1][0] < times[2][0] < times[0][1]
    # A trial that ran out of memory is tried again alone.
    again = times[3][1:]
    assert not [t for n, ts in times.items() if n != 3 for t in ts if again[0] < t < again[-1]]


def test_a_scheduler_stops_trials_by_the_reports_of_others(search: Search) -> None:
    rates = [{"learning_rate": rate} for rate in (0.05, 0.02, 0.01)]
    queue = search(*rates, scheduler="asha", reports=9)
    logs = queue.ledger.trial_logs
    assert [logs[n].outcome for n in range(4)] == ["complete", "stopped", "stopped", "stopped"]
    assert {logs[n].reason for n in range(1, 4)} == {"scheduler"}


def test_the_random_state_and_the_threads_of_the_driver_are_kept(search: Search) -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.rand()), float(torch.rand(()))]

    def seed() -> None:
        random.seed(5)
        np.random.seed(5)
        torch.manual_seed(5)

    seed()
    expected = draw()
    seed()
    torch.set_num_threads(2)
    try:
        search({"behave": "raise"})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert draw() == expected


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_search_continues_from_the_last_checkpoint(
    search: Search, tmp_path: Path, number: signal.Signals
) -> None:
    undisturbed = search({"seed": 1})
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    space: Any = load_space("digits")
    with inline.prepare_worker(space, tmp_path, Run(1)):
        interrupted = search({"seed": 1, "behave": f"signal {number}"}, name="other")
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers
    logs = interrupted.ledger.trial_logs
    assert [(logs[n].outcome, logs[n].done, logs[n].failures) for n in (0, 1)] == [
        ("complete", 4, []),
        (None, 1, []),
    ]
    resumed = search({"seed": 1, "behave": f"signal {number}"}, ledger=interrupted.ledger)
    assert resumed.ledger.finished
    assert logs[1].attempts == 2
    assert [r.metrics["loss"] for r in logs[1].reports] == [
        r.metrics["loss"] for r in undisturbed.ledger.trial_logs[1].reports
    ]


def test_a_task_that_swallows_an_interrupt_ends_with_its_report(search: Search) -> None:
    queue = search({"behave": "swallow"})
    assert not queue.ledger.finished
    assert queue.ledger.trial_logs[1].done == 2


def test_a_signal_waits_until_the_ledger_is_written_unless_it_is_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interruption = Interruption()
    with interruption.installed():
        for _ in range(2):  # a batch system sends it to the process and to its group
            signal.raise_signal(signal.SIGINT)
        assert interruption.interrupted
        with pytest.raises(KeyboardInterrupt), interruption.in_task():
            pytest.fail("a task was started")
        later = time.monotonic() + 2 * inline.INSIST
        monkeypatch.setattr(inline.time, "monotonic", lambda: later)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("ask", ["interruption._on_sigint(2, None)", "time.sleep(0)"])
def test_a_task_that_catches_every_interrupt_ends_the_process(tmp_path: Path, ask: str) -> None:
    output = str(tmp_path / "output.txt")  # where what a task prints goes
    script = f"""
import os, time
from cluster.execution import inline
inline.INSIST, inline.PATIENCE = 0.05, 0.3

def task():
    while True:
        try:
            {ask}
            time.sleep(5)
        except:
            pass

interruption = inline.Interruption()
with interruption.installed():
    os.dup2(os.open({output!r}, os.O_WRONLY | os.O_CREAT), 2)
    with interruption.in_task(0.1):
        task()
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == INTERRUPTED
    assert "the task does not end: it catches every interrupt" in done.stderr
    assert "--resume" in done.stderr and "Traceback" not in done.stderr


def test_a_process_that_a_task_forks_ends_at_sigterm(tmp_path: Path) -> None:
    space: Any = load_space("digits")
    with inline.prepare_worker(space, tmp_path, Run(1)):
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM


@pytest.mark.parametrize(("late", "done"), [(0.0, 3), (2 * BUDGET_GRACE, 2)])
def test_the_time_budget_stops_the_trial_that_runs(search: Search, late: float, done: int) -> None:
    def expire(queue: TrialQueue) -> None:
        if queue.ledger.trial_logs[0].done == 2:
            queue.limits = TimeLimits(deadline=time.monotonic() - late)

    queue = search({}, on_step=expire)
    assert not queue.ledger.finished
    (log,) = queue.ledger.trial_logs.values()
    assert (log.outcome, log.reason, log.done) == ("stopped", "time budget", done)


def test_a_full_disk_ends_the_search_and_loses_nothing(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match=r"the search cannot write: .*No space left"):
        search({"behave": "full"})
    writes: list[None] = []

    def fail(*_: object) -> None:
        writes.append(None)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cluster.ledger.ledger.append_event", fail)
    with pytest.raises(UserError, match=r"the search cannot write: .*No space left"):
        search({}, name="other")
    assert len(writes) == 1


def test_a_task_that_closes_the_standard_streams_closes_its_own(
    search: Search, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def close(*_: object) -> None:
        sys.stdout.write("from the task\n")
        for stream in (sys.stdout, sys.stderr):
            stream.buffer.close()
            stream.close()
        sys.stdout = None

    monkeypatch.setattr(Run, "record", close)
    streams = sys.stdout, sys.stderr
    log = search({}).ledger.trial_logs[0]
    assert log.outcome == "failed"  # the patched Run.record counts no report
    assert (sys.stdout, sys.stderr) == streams
    print("still open")
    assert capsys.readouterr().out == "still open\n"
    assert "from the task\n" in log.failures[-1].output


def test_a_space_without_a_feasible_configuration_ends_the_search(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(study: Study) -> None:
        raise UserError("no feasible configuration")

    monkeypatch.setattr(Study, "ask", fail)
    with pytest.raises(UserError, match="no feasible configuration"):
        search({})
