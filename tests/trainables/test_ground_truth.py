"""What a `prepare` may return, and what is rejected with its split, row and value."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from trainables.errors import TaskError
from trainables.ground_truth import check_ground_truth, expect_predictions
from trainables.predictor import Expected, GroundTruth

ABC: Any = ("a", "b", "c")


def check(given: Any, **more: Any) -> GroundTruth:
    more = {"targets": {"test": given}, **more}
    return check_ground_truth(GroundTruth(**more), "prepare of mine", " (mine.py, line 3)")


@pytest.mark.parametrize(
    ("given", "classes"),
    [
        (torch.tensor([0, 2]), ABC),
        ([torch.tensor(0), torch.tensor(2)], ABC),
        ([0.0, 2.0], ABC),
        (["a", "c"], ABC),
        (pd.Series(["a", "c"], index=[7, 8], dtype="category"), ABC),
        (pd.Series([0, 2], dtype="Int64").astype(object), ABC),
        (np.array([0, 2], np.uint8), np.array(ABC)),
        ([0, 2], range(3)),
        ([0, 2], ()),
    ],
)
def test_targets_become_an_array_of_labels(given: Any, classes: Any) -> None:
    truth = check(given, classes=classes, fingerprint=5)
    assert truth.targets["test"].tolist() == [0, 2]
    assert truth.targets["test"].dtype.kind in "iu"
    assert truth.fingerprint == "5" and all(type(name) is str for name in truth.classes)
    assert expect_predictions(truth)["test"] == Expected(2, "i", truth.classes, 3)


def test_targets_without_classes_keep_their_kind() -> None:
    assert check([True, False]).targets["test"].tolist() == [1, 0]
    assert expect_predictions(check([-1, 4]))["test"] == Expected(2, "i")
    assert expect_predictions(check([0.5, 1.5]))["test"] == Expected(2, "f")
    assert expect_predictions(check(np.array(["12", "3"])))["test"] == Expected(2, "U")


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        (None, {}, r"targets of 'test' that are None \(NoneType\) of shape \(\), not \(n,\)"),
        ([], {}, r"targets of 'test' that are \[\] \(list\) of shape \(0,\), not"),
        (np.eye(3), {}, r"of shape \(3, 3\), not \(n,\)"),
        ([1, None], {}, r"that are of object: row 1 is None"),
        ([0.5, np.nan], {}, "that are not finite: row 1 is nan"),
        ([0, np.nan], {"classes": ABC}, "that are not finite: row 1 is nan"),
        ([1, 2, 3], {"classes": ABC}, "row 2 is 3, neither a name nor an index .0 to 2. of the 3"),
        ([0, -1], {"classes": ABC}, "row 1 is -1, neither"),
        ([0, 0.5], {"classes": ABC}, "row 1 is 0.5, neither"),
        (["a", "d"], {"classes": ABC}, "row 1 is 'd', neither"),
        ([0], {"classes": 3}, r"classes that are 3 \(int\), not names"),
        ([0], {"fingerprint": b"x"}, r"the fingerprint b'x' \(bytes\), not a text"),
        ([0], {"groups": {"test": ["x", "y"]}}, "2 groups of 'test', which has 1 targets"),
        ([0], {"groups": ["x"]}, r"groups that are \['x'\] \(list\), not a dict by split"),
        ([0], {"targets": ([0], [1])}, "targets that are .*, not a dict by split"),
        ([0], {"targets": {"../x": [0]}}, "targets of a split with the name '../x'"),
    ],
)
def test_others_are_rejected_with_split_row_and_value(
    given: Any, more: dict[str, Any], said: str
) -> None:
    with pytest.raises(TaskError, match=said) as caught:
        check(given, **more)
    first, second = str(caught.value).split("\n")
    assert first.startswith("prepare of mine returned ")
    assert first.endswith(" (mine.py, line 3)")
    assert second.startswith("return a target per example of each split")
