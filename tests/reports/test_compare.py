"""Searches side by side: which are repeats of one another."""

import json

import pytest

from reports.compare import area, race, table, text
from reports.numbers.statistics import mean_interval
from reports.search import Search
from tests.reports.made import search, trial


def searched(best: float, **fixed: object) -> Search:
    tags = {"sampler": "tpe", "scheduler": "asha", "trials": "2"}
    trials = [trial(i, s, metrics={"device_seconds": 10.0}) for i, s in enumerate((0.5, best))]
    return search(*trials, tags={**tags, **({"fixed": json.dumps(fixed)} if fixed else {})})


def test_searches_that_differ_in_their_seed_alone_are_repeats() -> None:
    races = [race(searched(0.90)), race(searched(0.94, seed=1)), race(searched(0.92, seed=2))]
    (row,) = table(races).rows
    assert row[4] == "3"
    found = mean_interval([0.90, 0.94, 0.92])
    assert row[5] == f"92.00 % ({found.low * 100:.2f} to {found.high * 100:.2f} %)"
    assert "Student's t" in text(races)


def test_whatever_else_is_fixed_tells_searches_apart() -> None:
    races = [race(searched(0.9, epochs=2, seed=0)), race(searched(0.9, seed=1, epochs=3))]
    assert [row[4] for row in table(races).rows] == ["1", "1"]
    assert "no difference here is more than an anecdote" in text(races)
    same = [race(searched(0.9, epochs=2, seed=0)), race(searched(0.9, seed=1, epochs=2))]
    assert [row[4] for row in table(same).rows] == ["2"]


def test_the_area_is_the_mean_of_the_best_so_far_over_the_time() -> None:
    assert area(race(searched(0.9)), 30.0) == pytest.approx((0.5 * 10 + 0.9 * 10) / 20)
