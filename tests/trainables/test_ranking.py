"""Which score and which report is better, and which trial is best."""

from __future__ import annotations

import math
from typing import Any

from trainables.ranking import (
    best_report,
    describe_divergence,
    find_worst,
    is_better,
    is_finite,
    mark_divergence,
    rank_trials,
)


def test_a_better_score_is_larger_or_smaller_by_the_mode() -> None:
    assert is_better(0.0, None, "max")
    assert is_better(2, 1, "max") and not is_better(1, 1, "max") and not is_better(0, 1, "max")
    assert is_better(1, 2, "min") and not is_better(2, 2, "min") and not is_better(3, 2, "min")


def test_metrics_are_finite_when_all_are() -> None:
    assert is_finite({"a": 1.0, "b": -1e30}) and is_finite({})
    assert not is_finite({"a": 1.0, "b": float("inf")}) and not is_finite({"a": float("nan")})


def test_the_best_report_is_the_first_of_equal_ones() -> None:
    reports = [(1, {"a": 0.5}), (2, {"a": 0.7}), (3, {"a": 0.7}), (4, {"a": float("nan")})]
    assert best_report(reports, "a", "max") == (0.7, 2)
    assert best_report(reports, "a", "min") == (0.5, 1)
    assert best_report(reports[3:], "a", "max") is None
    others = [(1, {"a": 0.5, "b": math.nan}), (2, {"b": 1.0}), (3, {"a": math.inf})]
    assert best_report(others, "a", "max") == (0.5, 1)


def test_the_searched_metric_alone_decides_that_a_trial_diverged() -> None:
    assert describe_divergence({"a": math.nan, "b": 1.0}, "a", 3) == "a is nan at report 3"
    assert describe_divergence({"a": -math.inf}, "a", 1) == "a is -inf at report 1"
    assert not describe_divergence({"a": 1.0, "b": math.nan}, "a", 3)


def test_a_task_may_pass_the_divergence_of_another_metric_on() -> None:
    assert mark_divergence({"a": 0.5, "b": 1.0}, "a") == {"a": 0.5, "b": 1.0}
    marked = mark_divergence({"a": 0.5, "b": math.inf}, "a")
    assert math.isnan(marked["a"]) and marked["b"] == math.inf
    assert mark_divergence({"b": math.inf}, "") == {"b": math.inf}


def test_the_worst_score_is_of_the_finite_ones() -> None:
    scores = (0.5, None, math.nan, 0.2, math.inf)
    assert (find_worst(scores, "max"), find_worst(scores, "min")) == (0.2, 0.5)
    assert math.isnan(find_worst((None, math.nan), "max"))


def test_complete_trials_come_before_stopped_ones() -> None:
    trials = [
        (0, "complete", 0.5),
        (1, "stopped", 0.9),
        (2, "complete", 0.7),
        (3, "failed", 0.99),
        (4, "complete", None),
        (5, "complete", 0.7),
        (6, "diverged", 0.99),
    ]

    def rank(mode: Any) -> list[int]:
        ranked = rank_trials(
            trials,
            mode,
            outcome=lambda t: t[1],
            score=lambda t: t[2],
            number=lambda t: t[0],
        )
        return [trial[0] for trial in ranked]

    assert rank("max") == [2, 5, 0, 1]
    assert rank("min") == [0, 2, 5, 1]
