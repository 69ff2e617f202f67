from __future__ import annotations

import json

import numpy as np
import pytest

from trainables.data.table_columns import TableColumns
from trainables.data.table_encoding import Encoding, fit_encoding, read_encoding
from trainables.errors import UserError

COLUMNS = TableColumns("y", False, ("a", "b"), ("color",))
ROWS = np.array(
    [[0.0, 5.0, "red"], [2.0, np.nan, "blue"], [4.0, 5.0, "red"], [np.nan, 5.0, None]], object
)


def fit() -> Encoding:
    return fit_encoding(COLUMNS, ROWS, np.array([0, 1, 0, 1]), ["no", "yes"])


def test_numbers_are_standardized_and_missing_ones_marked() -> None:
    numbers, codes = fit().encode(ROWS)
    assert numbers.dtype == np.float32
    assert np.allclose(numbers[:3, 0], np.array([-1, 0, 1]) * np.sqrt(1.5))
    assert numbers[:, 2:].tolist() == [[0, 0], [0, 1], [0, 0], [1, 0]]
    assert not numbers[:, 1].any(), "a constant, and a missing value, are the mean"
    assert codes.tolist() == [[1], [2], [1], [0]]


def test_what_train_did_not_have_is_missing() -> None:
    _, codes = fit().encode(np.array([["1", 2, "green"], [None, "?", float("nan")]], object))
    assert codes.tolist() == [[0], [0]]


def test_texts_of_numbers_are_read() -> None:
    encoding = fit()
    texts = np.array([["0", "5.0", "red"], ["2", "", " blue"]], object)
    for found, expected in zip(encoding.encode(texts), encoding.encode(ROWS[:2]), strict=True):
        assert np.array_equal(found, expected)


def test_rows_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UserError, match=r"shape \(1, 2\).*a, b, color"):
        fit().encode(ROWS[:1, :2])
    with pytest.raises(UserError, match="'a' has a value that is no finite number"):
        fit().encode(np.array([["x", 1, "red"]], object))


def test_the_target_of_a_regression_is_described() -> None:
    encoding = fit_encoding(COLUMNS, ROWS, np.array([1.0, 2.0, 3.0, 2.0]), ())
    assert encoding.is_regression
    assert (encoding.target_mean, encoding.target_deviation) == (2.0, np.sqrt(0.5))


def test_an_encoding_is_saved_as_json() -> None:
    assert read_encoding(json.loads(json.dumps(fit().to_json()))) == fit()
