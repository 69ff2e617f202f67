"""Test scores that the model has to compute: their opening is on record all the same."""

from collections.abc import Callable
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from reports.numbers.statistics import Interval
from reports.read.opened_scores import Allowed, count_correct, open_scores
from reports.read.records import read_search
from tests.support.make_search import list_openings
from trainables.errors import UserError

Write = Callable[..., str]
SCORES = {"RMSE": Interval(0.5, 0.4, 0.6, 120)}


def test_a_regression_is_recorded_without_correct_examples(
    client: MlflowClient, write_search: Write, read_report: Callable[..., str]
) -> None:
    trials = [{"number": n, "outcome": "complete", "score": 0.9 - n / 10} for n in (0, 1)]
    parent = write_search(trials, data=False)
    search = read_search(client, "digits")
    calls = []

    def compute() -> dict[str, Interval]:
        calls.append(list_openings(client, parent))
        return SCORES

    def open_for(number: int, again: bool = False) -> tuple[Any, str]:
        run, allowed = search.trials[number], Allowed(again=again)
        return open_scores(client, search, run, allowed, is_text=False, compute=compute)

    with pytest.raises(UserError, match="Validation did not choose trial 1"):
        open_for(1)
    assert not calls and not list_openings(client, parent)
    for _ in range(2):
        scores, sentence = open_for(0)
        assert scores == SCORES
        assert "was opened once: for trial 0 at" in sentence and "right" not in sentence
    (opening,) = list_openings(client, parent)
    assert opening["n"] == 120 and "correct" not in opening
    open_for(1, again=True)
    assert list_openings(client, parent)[1]["again"] is True
    assert "was opened twice: for trial 0 at" in read_report()


def test_the_record_has_how_many_are_correct() -> None:
    assert count_correct({"accuracy": Interval(0.9, 0.8, 1, 50)}) == {"n": 50, "correct": 45}
    assert count_correct({"exact match": Interval(0.9, 0.8, 1, 50)})["correct"] == 45
    assert count_correct(SCORES) == {"n": 120}
