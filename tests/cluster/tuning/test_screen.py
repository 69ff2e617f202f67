"""The screen of a running search: every trial that runs, those that ended last, the rungs."""

import io
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from rich.console import Console

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Decision, Failure, Report, TrialLog
from cluster.sampling.study import Study
from cluster.tuning.screen import (
    count_rungs,
    describe_end,
    draw_screen,
    draw_sparkline,
    estimate_seconds_left,
)
from searchspaces.space import SearchSpace
from tests.support.reports import make_result


def draw(queue: TrialQueue, width: int) -> str:
    out = io.StringIO()
    console = Console(file=out, width=width, color_system=None)
    console.print(draw_screen(queue, ["width"], 60.0, Counter(), ""))
    return out.getvalue()


@pytest.fixture
def searching(
    begin: Callable[..., Ledger], open_study: Callable[..., Study], space: SearchSpace[Any]
) -> TrialQueue:
    """Return a search in which one trial has ended, one was stopped and two run."""
    ledger = begin(trials=8, reports=9, scheduler="asha", rungs=(1, 3))
    queue = TrialQueue(ledger, open_study(ledger, space))
    for losses in ([0.5, 0.25], [0.75], [0.125, 0.0625, 0.03125], [0.4]):
        attempt = queue.next_attempt()
        assert attempt is not None
        queue.record_start(attempt.trial)
        result = make_result(*losses) | {"place": f"machine/cuda{attempt.trial % 2}"}
        if queue.record_result(attempt.trial, result):
            queue.record_end(attempt.trial, None)
    for _ in range(3):
        queue.record_failure(0, Failure("failed", "ValueError: on [purpose]", ""))
    return queue


@pytest.mark.parametrize("width", [80, 140])
def test_trials_that_run_and_that_have_ended_are_shown(searching: TrialQueue, width: int) -> None:
    lines = [" ".join(line.split()) for line in draw(searching, width).splitlines()]
    assert "trial 002 3 of 9 0.03125 0.03125 █▃▁" in " ".join(lines)
    assert any(line.startswith("trial 001 stopped 0.75 1") for line in lines)
    assert any(line.endswith("0.75, cutoff 0.5") for line in lines)
    assert any(line.startswith("trial 000 failed 0.25 2") for line in lines)
    assert any(line.endswith("ValueError: on [purpose]") for line in lines)
    assert "best 0.03125 loss" not in lines  # no trial has ended with a score that may win
    assert any(line.startswith("devices machine/cuda") for line in lines)
    assert max(map(len, lines)) <= width


def test_the_trials_at_every_rung_are_counted(searching: TrialQueue) -> None:
    rungs = count_rungs(searching)
    assert [at for at, _, _ in rungs] == [1, 3]
    assert rungs[0][1:] == (4, 1 + (3 not in searching.running))
    assert rungs[1][1:] == (1, 0)


def test_more_trials_than_a_screen_has_lines_are_counted(
    searching: TrialQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.tuning.screen.RUNNING", 1)
    for _ in range(3):
        searching.next_attempt()
    assert f"and {len(searching.running) - 1} more" in draw(searching, 100)


@pytest.mark.parametrize(
    ("values", "expected"),
    [([], ""), ([1.0], "▅"), ([2.0, 2.0], "▅▅"), ([0.0, 1.0, 0.5], "▁█▅"), ([3, -4], "█▁")],
)
def test_a_sparkline_goes_from_the_lowest_value_to_the_highest(
    values: Sequence[float], expected: str
) -> None:
    assert draw_sparkline(values) == expected


def test_a_sparkline_has_the_last_reports() -> None:
    assert draw_sparkline([9.0] * 90 + [1.0] * 15 + [2.0]) == "▁" * 15 + "█"


def test_the_time_left_is_that_of_the_reports_of_the_same_attempt() -> None:
    log = TrialLog(0, {}, {}, 0.0, attempts=2, spans=[(0.0, 50.0, ""), (100.0, 120.0, "")])
    log.reports = [Report(1, 50.0, 50.0, {})]
    assert estimate_seconds_left(log, 5, 101.0) is None
    log.reports += [Report(2, 110.0, 60.0, {}), Report(3, 120.0, 70.0, {})]
    assert estimate_seconds_left(log, 5, 120.0) == 20.0
    assert estimate_seconds_left(log, 5, 126.0) == 14.0
    assert estimate_seconds_left(log, 5, 500.0) == 10.0  # the report after the late one


def test_the_end_of_a_trial_is_explained() -> None:
    log = TrialLog(0, {}, {}, 0.0, outcome="stopped", reason="time budget")
    assert describe_end(log) == "time budget"
    log.decisions = [Decision(1, 0.5, None, False), Decision(3, 0.25, 0.0, True)]
    assert describe_end(log) == "0.25, cutoff 0"
