import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import Study
from cluster.tuning import progress
from cluster.tuning.progress import ProgressDisplay, format_number
from searchspaces.space import SearchSpace


def test_numbers() -> None:
    assert [format_number(v) for v in (0.123456, 1e-5, 32, True, "sgd")] == [
        "0.1235",
        "1e-05",
        "32",
        "True",
        "sgd",
    ]


@pytest.fixture
def attempts(
    begin: Callable[..., Ledger],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    space: SearchSpace[Any],
) -> TrialQueue:
    ledger = begin(trials=4)
    return TrialQueue(ledger, open_study(ledger, space), 4)


TRACEBACK = """Traceback (most recent call last):
  File "/somewhere/tests/spaces/trivial.py", line 5, in train
  File "/somewhere/tests/spaces/trivial.py", line 7, in inner
  File "/somewhere/torch/module.py", line 9, in forward
RuntimeError: on purpose"""


def hear(attempts: TrialQueue, trial: int, *losses: float) -> None:
    history = [
        {"report": n, "seconds": 61.0 * n, "metrics": {"loss": loss}}
        for n, loss in enumerate(losses, 1)
    ]
    attempts.heard(trial, {"history": history, "facts": {}})


def test_without_a_terminal_every_trial_is_one_line_once(
    attempts: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "REFRESH", 0.0)
    out = io.StringIO()
    attempts.next()
    hear(attempts, 0, 0.5)
    attempts.ended(0, "complete")  # before this driver: not told again
    with ProgressDisplay(attempts, ["width"], Console(file=out), lambda: "") as screen:
        attempts.next()
        attempts.next()
        screen.update()
        assert out.getvalue() == ""
        hear(attempts, 1, 0.75, 0.25)
        attempts.ended(1, None)
        screen.update()
        screen.update()
        for _ in range(3):
            attempts.failed(2, "failed", TRACEBACK)
    lines = out.getvalue().splitlines()
    width = attempts.ledger.trial_logs[1].config["width"]
    assert lines[0] == f"trial 001 stopped  loss 0.25 after 2 reports, 2 min 02 s: width={width}"
    assert lines[1].startswith("trial 002 failed   no score after 0 reports")
    assert lines[2:] == ["  RuntimeError: on purpose (trivial.py:7)"]


def test_on_a_terminal_a_table_shows_counts_best_speed_and_trouble(attempts: TrialQueue) -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=120, color_system=None)
    with ProgressDisplay(attempts, ["width", "momentum"], console, lambda: "no answer") as screen:
        for _ in range(3):
            attempts.next()
        hear(attempts, 0, 0.5, 0.125)
        attempts.ended(0, "complete")
        hear(attempts, 1, 0.75)
        attempts.ended(1, "diverged")
        screen.update(now=True)
    said = out.getvalue()
    assert "2 of 4 ended, 1 running, 1 complete, 1 diverged" in said
    assert "0.125 loss (trial 0)" in said
    assert "width=2  momentum=False" in said
    assert "reports per second" in said
    assert " left" in said
    assert "behind, will catch up: no answer" in said
    assert screen.__getstate__() == {}
