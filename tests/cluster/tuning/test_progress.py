"""A running search is shown as a line per trial or, on a terminal, as a live table."""

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cluster.execution import task_output
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure
from cluster.tuning import progress
from cluster.tuning.progress import ProgressDisplay, describe_failure
from searchspaces.space import SearchSpace
from tests.support.reports import make_result

TRACEBACK = """Traceback (most recent call last):
  File "/somewhere/tests/spaces/trivial.py", line 5, in train
  File "/somewhere/tests/spaces/trivial.py", line 7, in inner
  File "/somewhere/torch/module.py", line 9, in forward
RuntimeError: on purpose"""
FAILURE = Failure("failed", "RuntimeError: on purpose", TRACEBACK)


def record(queue: TrialQueue, trial: int, *losses: float) -> None:
    queue.record_result(trial, make_result(*losses, seconds=61.0))


def test_without_a_terminal_every_trial_is_one_line(
    queue: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    out = io.StringIO()
    queue.next_attempt()
    record(queue, 0, 0.5)
    queue.record_end(0, "complete")  # before this driver: not printed again
    with ProgressDisplay(queue, ["width"], Console(file=out), lambda: "") as display:
        queue.next_attempt()
        queue.next_attempt()
        display.update()
        assert out.getvalue() == ""
        record(queue, 1, 0.75, 0.25)
        queue.record_end(1, None)
        display.update()
        display.update()
        for _ in range(3):
            queue.record_failure(2, FAILURE)
    lines = out.getvalue().splitlines()
    width = queue.ledger.trial_logs[1].config["width"]
    assert lines[0] == f"trial 001 stopped  loss 0.25 after 2 reports, 2 min 02 s: width={width}"
    assert lines[1].startswith("trial 002 failed   no score after 0 reports")
    assert lines[2:] == ["  RuntimeError: on purpose (trivial.py:7)"]


def test_on_a_terminal_a_table_shows_counts_best_speed_and_delays(queue: TrialQueue) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    searched = ["width", "momentum"]
    with ProgressDisplay(queue, searched, console, lambda: "no answer") as display:
        for _ in range(3):
            queue.next_attempt()
        record(queue, 0, 0.5, 0.125)
        queue.record_end(0, "complete")
        record(queue, 1, 0.75)
        queue.record_end(1, "diverged")
        display.update(now=True)
    text = out.getvalue()
    assert "2 of 4 ended, 1 running, 1 complete, 1 diverged" in text
    assert "0.125 loss (trial 0)" in text
    assert "width=2  momentum=False" in text
    assert "reports per second" in text
    assert " left" in text
    assert "delayed" in text
    assert "will be written later: no answer" in text
    assert display.__getstate__() == {}


def test_a_debugger_gets_a_terminal_without_a_screen(queue: TrialQueue) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with ProgressDisplay(queue, ["width"], console, lambda: "") as display:
        for function in task_output._debugger_callbacks:
            function()
        queue.next_attempt()
        record(queue, 0, 0.5, 0.125)
        queue.record_end(0, "complete")
        out.truncate(0)
        display.update(now=True)
    assert out.getvalue().strip("\0").startswith("trial 000 complete loss 0.125")
    assert not task_output._debugger_callbacks


@pytest.mark.parametrize(
    ("traceback", "expected"),
    [
        (TRACEBACK, "RuntimeError: on purpose (trivial.py:7)"),
        ('File "C:/x/other_trivial.py", line 3, in f', "RuntimeError: on purpose"),
        ('File "trivial.py", line 12, in f', "RuntimeError: on purpose (trivial.py:12)"),
        ("", "RuntimeError: on purpose"),
    ],
)
def test_a_failure_has_its_last_line_in_the_space_file(
    begin: Callable[..., Ledger], space: SearchSpace[Any], traceback: str, expected: str
) -> None:
    ledger = begin()
    ledger.add_trial(0, {}, {})
    ledger.record_failure(0, Failure("failed", "MemoryError", ""))
    ledger.record_failure(0, Failure("failed", "RuntimeError: on purpose", traceback))
    assert describe_failure(ledger.trial_logs[0], space) == expected
    ledger.record_failure(0, Failure("failed", "x" * 1000, traceback))
    assert describe_failure(ledger.trial_logs[0], space).startswith("x" * 300 + " ...")
