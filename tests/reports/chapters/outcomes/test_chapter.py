"""Outcomes, rungs, costs and savings, counted by hand."""

import pytest

from reports.chapters.outcomes import failures
from reports.chapters.outcomes.chapter import read_rungs, write_section
from reports.records import Search
from tests.support.make_search import make_search, make_trial
from trainables.errors import UnreadableError


def row(text: str, start: str) -> list[str]:
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def counted(**tags: str) -> Search:
    cost = {"metrics": {"device_seconds": 3600.0}}
    stop = {"outcome": "stopped", "reason": "scheduler"}
    return make_search(
        make_trial(0, reports=9, **cost),
        make_trial(1, reports=1, **stop, metrics={"device_seconds": 100.0}),
        make_trial(2, reports=3, **stop, metrics={"device_seconds": 600.0}),
        make_trial(3, reports=3, **stop, metrics={"device_seconds": 600.0}),
        make_trial(4, reports=5, outcome="stopped", reason="time budget", **cost),
        make_trial(5, None, reports=2, outcome="failed", reason="out of memory", **cost),
        make_trial(6, None, reports=0, outcome="failed"),
        metrics={"infeasible": 3.0, "retried": 1.0},
        tags={"rungs": "[1, 3]", "scheduler": "asha", **tags},
    )


def test_every_outcome_is_counted() -> None:
    text = write_section(counted())
    assert row(text, "complete")[1:4] == ["1", "14.3 %", "9"]
    assert row(text, "stopped")[1:4] == ["4", "57.1 %", "12"]
    assert row(text, "– at rung 1, report 1")[1] == "1"
    assert row(text, "– at rung 2, report 3")[1] == "2"
    assert row(text, "– by the time budget")[1] == "1"
    assert row(text, "failed")[1] == "2"
    assert row(text, "– out of memory")[1] == "1"
    assert row(text, "infeasible")[1] == "3"
    assert row(text, "retried")[1] == "1"
    assert "30 % of the 10 suggested configurations were infeasible" in text
    assert "The device time of 1 trial is not recorded" in text


def test_the_sentence_on_failures_has_the_error_and_not_the_advice_below_it() -> None:
    trace = """Traceback (most recent call last):
  File "a/task.py", line 8, in train
    check(config)
    ^^^^^
  File "a/check.py", line 3, in check
    raise ValueError(
ValueError: width is 0
make it larger"""
    for error, sentence in (
        (trace, "with ValueError: width is 0 (at `check.py:3`)."),
        ("the worker died\nsee its output", "with the worker died."),
        ("", "with no reason recorded."),
    ):
        trial = make_trial(1, None, outcome="failed", error=error, reason=error)
        assert failures.describe_most_common(make_search(trial)).endswith(sentence)


def test_a_failure_is_shown_with_the_end_of_what_its_trial_has_printed() -> None:
    output = "\n".join(f"line {n}" for n in range(20))
    trials = (
        make_trial(n, None, outcome="failed", error="ValueError: no", tags={"output": text})
        for n, text in ((1, output), (2, "of another trial"))
    )
    text = failures.write_section(make_search(*trials))
    assert text is not None
    assert "The last lines of the output of trial 1:" in text
    assert "line 12\n" in text
    assert "line 11\n" not in text
    assert "of another trial" not in text


def test_savings_of_early_stopping() -> None:
    # 8 reports and twice 6; the trial stopped for time spared nothing.
    text = write_section(counted())
    assert "Stopping 3 trials early saved 20 reports: the search made" in text
    assert "23 reports, as many as 2.56 complete trials" in text


def test_fractions_of_a_gpu() -> None:
    text = write_section(counted(resources='{"cpu": 1.0, "gpu": 0.25}'))
    assert "Each trial reserved 0.25 GPU, which makes 0.84 GPU-hours" in text
    assert "GPU" not in write_section(counted(resources='{"cpu": 1.0, "gpu": 0.0}'))
    assert "GPU" not in write_section(counted(resources="{dam"))


def test_a_scheduler_without_rungs_has_no_rows_per_report() -> None:
    trials = [make_trial(i, outcome="stopped", reports=i) for i in range(1, 20)]
    text = write_section(make_search(*trials))
    assert row(text, "stopped")[1] == "19"
    assert "– at" not in text


def test_damaged_rungs_are_an_error() -> None:
    with pytest.raises(UnreadableError, match="`rungs`"):
        read_rungs(make_search(make_trial(0), tags={"rungs": "[1, 3"}))
