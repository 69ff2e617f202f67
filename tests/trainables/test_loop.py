"""Tasks that are plain functions: their reports, their end, and how they are stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.paths import ROOT
from trainables.errors import TaskError, TrialStopped
from trainables.loop import end_loop, start_loop
from trainables.metrics import find_yield
from trainables.run import Loop, Run


@pytest.fixture(autouse=True)
def interrupt_by_sigint() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt also where a shell has started the tests with `&`."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def drive(train: Any, run: Run, most: int = 99) -> list[float]:
    """Return the losses of a task that is closed after a number of reports."""
    loop = start_loop(train, None, run)
    losses = []
    for _, report in zip(range(most), loop, strict=False):
        losses.append(run.record(report, loop)["loss"])
        if run.done >= run.reports:
            end_loop(loop)
            break
    loop.close()
    assert not list_threads()
    return losses


def list_threads() -> list[threading.Thread]:
    """Return the threads of functions that have not ended."""
    return [thread for thread in threading.enumerate() if thread.name == "tunery-task"]


def walk(config: Any, run: Run, ends: list[str]) -> None:
    """Report a random walk, whose steps are drawn from the global generator."""
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(model.weight)
    try:
        for _ in run.resume(model=model):
            with torch.no_grad():
                model.weight += torch.rand(())
            run.report({"loss": model.weight.item()})
        run.keep_predictions(test=lambda: model.weight.detach().numpy())
        ends.append("returned")
    except TrialStopped:
        ends.append("stopped")
        raise


def test_a_function_reports_as_a_generator_yields_and_returns_after_the_last(
    tmp_path: Path,
) -> None:
    ends: list[str] = []
    torch.manual_seed(1)
    run = Run(3, metric="loss", folder=tmp_path)
    losses = drive(partial(walk, ends=ends), run)
    assert losses == sorted(losses) and len(losses) == 3
    assert ends == ["returned"]
    run.finish()
    assert (tmp_path / "best" / "test.parquet").exists()


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_function_that_is_stopped_leaves_its_loop_and_resumes(
    tmp_path: Path, first: int
) -> None:
    ends: list[str] = []
    train = partial(walk, ends=ends)
    torch.manual_seed(1)
    whole = drive(train, Run(4))
    torch.manual_seed(1)
    losses = drive(train, Run(4, metric="loss", folder=tmp_path), first)
    assert ends == ["returned", "stopped"]
    torch.manual_seed(2)
    losses += drive(train, Run(4, metric="loss", folder=tmp_path))
    assert losses == whole


def test_a_function_without_parts_knows_how_far_it_has_come(tmp_path: Path) -> None:
    def train(config: Any, run: Run) -> None:
        file = run.checkpoint_dir / "sum.txt"
        for report in run.remaining:
            total = (float(file.read_text()) if file.exists() else 0.0) + report
            file.write_text(str(total))
            run.report({"loss": total})

    assert drive(train, Run(4, metric="loss", folder=tmp_path), 2) == [0.0, 1.0]
    assert drive(train, Run(4, metric="loss", folder=tmp_path)) == [3.0, 6.0]


def test_a_function_that_catches_every_exception_is_stopped() -> None:
    cleaned: list[int] = []

    def train(config: Any, run: Run) -> None:
        for report in range(run.reports):
            try:
                run.report({"loss": report})
            except Exception:
                pytest.fail("the stop is an Exception")
            finally:
                cleaned.append(report)

    assert len(drive(train, Run(5), 2)) == 2
    assert cleaned == [0, 1]


def test_every_later_report_of_a_function_that_goes_on_is_stopped_too() -> None:
    caught: list[int] = []

    def train(config: Any, run: Run) -> None:
        for report in range(4):
            try:
                run.report({"loss": report})
            except BaseException:
                caught.append(report)

    drive(train, Run(9), 1)
    assert caught == [0, 1, 2, 3]


def test_a_report_after_the_last_ends_the_function() -> None:
    reached: list[int] = []

    def train(config: Any, run: Run) -> None:
        for report in range(9):
            run.report({"loss": report})
            reached.append(report)

    assert drive(train, Run(2)) == [0, 1]
    assert reached == [0, 1]


def test_what_a_function_raises_comes_out_with_its_lines() -> None:
    def train(config: Any, run: Run) -> None:
        run.report({"loss": 1})
        raise RuntimeError("no more")

    loop = start_loop(train, None, Run(3))
    next(loop)
    with pytest.raises(RuntimeError, match="no more") as error:
        next(loop)
    assert error.traceback[-1].name == "train"
    for failure in (SystemExit(3), KeyboardInterrupt()):

        def leave(config: Any, run: Run, failure: BaseException = failure) -> None:
            raise failure

        with pytest.raises(type(failure)):
            next(start_loop(leave, None, Run(1)))
    assert not list_threads()


def test_a_bad_report_names_the_line_of_its_call() -> None:
    def train(config: Any, run: Run) -> None:
        run.report("nothing")  # type: ignore[arg-type]

    run = Run(1)
    loop = start_loop(train, None, run)
    report = next(loop)
    line = train.__code__.co_firstlineno + 1
    with pytest.raises(TaskError, match=rf"not a mapping .*test_loop\.py, line {line}\)"):
        run.record(report, loop)
    loop.close()


@pytest.mark.parametrize("returned", [None, {"loss": 1.0}, [1], iter([{"loss": 1.0}])])
def test_a_function_without_a_report_is_rejected(returned: Any) -> None:
    with pytest.raises(TaskError, match=r"train returned .* and made no report"):
        next(start_loop(lambda config, run: returned, None, Run(1)))


def test_a_function_may_return_a_generator() -> None:
    def generate(config: Any, run: Run) -> Loop:
        for report in run.resume():
            yield {"loss": float(report)}

    assert drive(lambda config, run: generate(config, run), Run(3)) == [0, 1, 2]
    loop = start_loop(lambda config, run: generate(config, run), None, Run(3))
    next(loop)
    assert f"line {generate.__code__.co_firstlineno + 2})" in find_yield(loop)
    end_loop(loop)
    assert next(loop) == {"loss": 1.0}, "a generator must not be resumed or closed"


def test_a_generator_that_calls_report_is_rejected() -> None:
    def train(config: Any, run: Run) -> Iterator[dict[str, float]]:
        run.report({"loss": 1.0})
        yield {"loss": 1.0}

    for function in (train, lambda config, run: train(config, run)):
        with pytest.raises(TaskError, match=r"a generator has called run\.report"):
            next(start_loop(function, None, Run(2)))


def test_without_a_driver_a_report_is_recorded() -> None:
    run = Run(2)
    walk(None, run, [])
    assert [entry["report"] for entry in run.history] == [1, 2]


def test_the_driver_sees_signals_and_the_function_its_interrupt() -> None:
    caught: list[str] = []

    def train(config: Any, run: Run) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                time.sleep(0.01)
        except KeyboardInterrupt:
            caught.append("interrupt")
            raise

    with pytest.raises(KeyboardInterrupt):
        next(start_loop(train, None, Run(1)))
    assert caught == ["interrupt"]
    assert not list_threads()


def test_a_function_that_swallows_an_interrupt_ends_with_its_report() -> None:
    def train(config: Any, run: Run) -> None:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            while True:
                time.sleep(0.01)
        run.report({"loss": 1.0})

    assert drive(train, Run(1)) == [1.0]


def test_a_function_that_does_not_answer_an_interrupt_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("trainables.loop.INTERRUPT_LIMIT", 0.05)
    hangs = threading.Event()

    def train(config: Any, run: Run) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        hangs.wait()
        with pytest.raises(TrialStopped):
            run.report({"loss": 1.0})

    with pytest.raises(KeyboardInterrupt):
        next(start_loop(train, None, Run(1)))
    (thread,) = list_threads()
    assert thread.daemon
    hangs.set()
    thread.join(5)
    assert not thread.is_alive()


def test_a_report_of_another_process_is_rejected(tmp_path: Path) -> None:
    def train(config: Any, run: Run) -> None:
        child = os.fork()
        if child == 0:
            try:
                run.report({"loss": 1.0})
            except TaskError as error:
                (tmp_path / "error.txt").write_text(str(error))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        run.report({"loss": 2.0})

    assert drive(train, Run(1)) == [2.0]
    assert "in a process that the task has started" in (tmp_path / "error.txt").read_text()


def test_processes_of_a_loader_end_with_the_function() -> None:
    data = torch.utils.data.TensorDataset(torch.zeros(8, 1))

    def train(config: Any, run: Run) -> None:
        loader = torch.utils.data.DataLoader(data, num_workers=1, persistent_workers=True)
        for _ in run.resume():
            run.report({"loss": float(sum(batch.sum() for (batch,) in loader))})

    loop = start_loop(train, None, Run(3))
    next(loop)
    import multiprocessing

    assert multiprocessing.active_children()
    loop.close()
    assert not multiprocessing.active_children()


def test_a_function_trains_with_the_threads_of_its_driver() -> None:
    def train(config: Any, run: Run) -> None:
        torch.ones(4).sum()
        run.report({"loss": torch.get_num_threads()})

    assert drive(train, Run(1)) == [torch.get_num_threads()] == [1]


def test_a_forked_child_ends_where_it_leaves_the_task() -> None:
    program = """
import os, sys
from trainables.loop import end_forked_children
for ending in ("sys.exit(3)", "sys.exit()", "raise ValueError", "pass"):
    with end_forked_children():
        child = os.fork()
        if not child:
            exec(ending)
        else:
            _, status = os.waitpid(child, 0)
    print(ending, os.waitstatus_to_exitcode(status), flush=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    codes = ["sys.exit(3) 3", "sys.exit() 0", "raise ValueError 1", "pass 0"]
    assert done.stdout.splitlines() == codes
