"""Attempts on devices: rows without overlap, damaged records named."""

import json

from reports.chapters.outcomes.timeline import assign_rows, read_spans, write_section
from reports.records import TrialRecord
from tests.support.make_search import make_search, make_trial


def ran(number: int, *spans: tuple[float, float, str]) -> TrialRecord:
    return make_trial(number, tags={"spans": json.dumps(spans)})


def test_trials_that_share_a_device_have_separate_rows() -> None:
    made = make_search(
        ran(0, (0, 10, "a/GPU 0"), (20, 30, "b/GPU 0")),  # two attempts
        ran(1, (5, 12, "a/GPU 0")),
        ran(2, (10, 15, "a/GPU 0")),
        make_trial(3, tags={"spans": "[[1, 2"}),
        make_trial(4),
    )
    spans, damaged = read_spans(made)
    assert (len(spans), [trial.number for trial in damaged]) == (4, [3])
    rows = {key: [s.trial.number for s in row] for key, row in assign_rows(spans).items()}
    assert rows == {("a/GPU 0", 0): [0, 2], ("a/GPU 0", 1): [1], ("b/GPU 0", 0): [0]}
    found = write_section(made)
    assert found is not None
    assert "4 attempts on 2 devices" in found.text
    # 10 + 10 + 7 + 5 seconds within 30.
    assert "1.07 attempts ran at the same time on average" in found.text
    assert found.unreadable == "The records of when 1 trial ran are damaged (3)."
    assert found.unreadable in found.text


def test_without_times_there_is_no_figure() -> None:
    assert write_section(make_search(make_trial(0))) is None
    instant = write_section(make_search(ran(0, (5, 5, "a"))))
    assert instant is not None
