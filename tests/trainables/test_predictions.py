"""Predictions of any array-like kind, and what is none."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from trainables.errors import TaskError
from trainables.predictions import check_functions, read_predictions
from trainables.predictor import Expected


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([1, 2], [1, 2]),
        ((True, False), [True, False]),
        (["a", "bc"], ["a", "bc"]),
        (np.array(["a", "bc"], dtype=object), ["a", "bc"]),
        ([[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.25, 0.75]]),
        (torch.full((1, 2), 0.5, requires_grad=True), [[0.5, 0.5]]),
        (torch.full((1, 2), 0.5, dtype=torch.bfloat16), [[0.5, 0.5]]),
        ([torch.tensor(1.0), torch.tensor(2.0)], [1.0, 2.0]),
    ],
)
def test_what_converts_to_an_array_is_read(given: Any, wanted: list[Any]) -> None:
    array = read_predictions("test", lambda: given)
    assert array.tolist() == wanted
    assert array.dtype != object


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (None, r"are None \(NoneType\) of shape \(\), not of 1 or 2 dimensions"),
        (0.5, r"are 0.5 \(float\) of shape \(\)"),
        (np.zeros((2, 3, 4)), r"of shape \(2, 3, 4\), not of 1 or 2 dimensions"),
        ([[1, 2], [3]], r"are \[\[1, 2\], \[3\]\] \(list\), not an array: "),
        ([], r"are empty: of shape \(0,\)"),
        (np.zeros((3, 0)), r"are empty: of shape \(3, 0\)"),
        ([["a"], ["b"]], r"of <U1 in 2 dimensions, not numbers\b"),
        ([1j, 2j], r"of complex128 in 1 dimensions, not numbers or texts"),
        ([1, None], r"of object in 1 dimensions, not numbers or texts"),
        ({"a": 1}, r"of shape \(\)"),
    ],
)
def test_other_predictions_are_rejected_with_their_line(given: Any, said: str) -> None:
    def predict(value: Any) -> Any:
        return value

    with pytest.raises(TaskError, match=said) as caught:
        read_predictions("validation", partial(predict, given))
    first, second = str(caught.value).split("\n")
    assert first.startswith("the predictions of 'validation' are ")
    assert first.endswith(f"({__file__}, line {predict.__code__.co_firstlineno})")
    assert second.startswith("return an array with a row per example")


LABELS = Expected(2, "i", ("a", "b"), 2)


def test_names_of_classes_become_labels() -> None:
    for given in (["b", "a"], [1.0, 0.0], [True, False]):
        assert read_predictions("test", lambda given=given: given, LABELS).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("given", "expected", "said"),
    [
        ([[0.5, 0.5]], LABELS, "are 1 rows, and the split has 2 targets"),
        ([[0.5, 0.5], [np.nan, 0.5]], LABELS, r"are not finite: row 1 is \[nan 0.5\]"),
        ([1.0, np.inf], Expected(2, "f"), "are not finite: row 1 is inf"),
        (np.eye(2, 3), LABELS, r"are of shape \(2, 3\), and there are 2 classes"),
        ([[1], [0]], Expected(2, "i", (), 2), r"are of shape \(2, 1\), and a row needs"),
        (np.eye(2), Expected(2, "i", (), 5), ".*, and a row needs at least 5 columns"),
        (np.eye(2), Expected(2, "U"), ".*, and the targets of the split are no classes"),
        (["a", "c"], LABELS, "are no classes: row 1 is 'c', neither a name nor an index"),
        ([0.0, 0.7], LABELS, "are no classes: row 1 is 0.7, neither"),
        (["1", "2"], Expected(2, "i"), "are of <U1, unlike the targets of the split"),
    ],
)
def test_predictions_that_do_not_fit_the_targets_are_rejected(
    given: Any, expected: Expected, said: str
) -> None:
    with pytest.raises(TaskError, match=f"^the predictions of 'test' {said}"):
        read_predictions("test", lambda: given, expected)


def test_only_functions_with_names_of_splits_are_registered() -> None:
    functions = {"test": list, "validation": lambda: [1]}
    assert check_functions(functions) == functions
    with pytest.raises(TaskError, match=r"of 'test' are \[1, 2\] \(list\), not a function"):
        check_functions({"test": [1, 2]})
    with pytest.raises(TaskError, match=r"the name '\.\./test' \(.*, line \d+\)"):
        check_functions({"../test": lambda: [1]})
