"""What a task predicts for a split, checked where it comes in: one row per example."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch

from trainables.errors import TaskError
from trainables.metrics import describe_value
from trainables.predictor import Expected


def check_functions(functions: Mapping[str, Any]) -> Mapping[str, Callable[[], Any]]:
    """Return the functions by the names of their splits; raises TaskError for anything else."""
    for split, predict in functions.items():
        if not callable(predict):
            raise TaskError(
                f"the predictions of {split!r} are {describe_value(predict)}, not a function\n"
                f"register one that predicts when it is called: "
                f"run.keep_predictions({split}=lambda: predict(data.{split}))"
            )
        if not re.fullmatch(r"[\w-]+", split):
            raise TaskError(
                f"predictions have the name {split!r}{find_line(predict)}\n"
                "name them by their split: letters, digits, _ and -"
            )
    return functions


def read_predictions(
    split: str, predict: Callable[[], Any], expected: Expected | None = None
) -> np.ndarray:
    """Call a function of a task and return what it predicts, as an array.

    That is (n, classes) of numbers, or (n,) of numbers or texts. It may return a tensor, a list or
    whatever NumPy converts to such an array. Names of classes become labels. Raises TaskError for
    anything else, and for what does not fit the targets of the split.
    """
    given = predict()
    try:
        array = to_array(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise _reject(split, predict, f"{describe_value(given)}, not an array: {error}") from error
    if array.ndim not in (1, 2):
        what = f"{describe_value(given)} of shape {array.shape}, not of 1 or 2 dimensions"
        raise _reject(split, predict, what)
    if 0 in array.shape:
        raise _reject(split, predict, f"empty: of shape {array.shape}")
    kinds, names = ("biuf", "numbers") if array.ndim == 2 else ("biufU", "numbers or texts")
    if array.dtype.kind not in kinds:
        what = f"{describe_value(given)} of {array.dtype} in {array.ndim} dimensions, not {names}"
        raise _reject(split, predict, what)
    try:
        return array if expected is None else _fit_targets(array, expected)
    except ValueError as error:
        raise _reject(split, predict, str(error)) from error


def _fit_targets(array: np.ndarray, expected: Expected) -> np.ndarray:
    """Return predictions that fit the targets; raises ValueError, which says what they are."""
    if len(array) != expected.examples:
        raise ValueError(f"{len(array):,} rows, and the split has {expected.examples:,} targets")
    check_finite(array)
    if array.ndim == 1:
        if expected.classes:
            return to_labels(array, expected.classes)
        if (array.dtype.kind == "U") != (expected.kind == "U"):
            raise ValueError(f"of {array.dtype}, unlike the targets of the split")
        return array
    columns = array.shape[1]
    if expected.kind != "i":
        raise ValueError(f"of shape {array.shape}, and the targets of the split are no classes")
    if expected.classes and columns != len(expected.classes):
        raise ValueError(f"of shape {array.shape}, and there are {len(expected.classes)} classes")
    if columns < max(2, expected.columns):
        raise ValueError(
            f"of shape {array.shape}, and a row needs at least {max(2, expected.columns)} columns"
        )
    return array


def check_finite(array: np.ndarray) -> None:
    """Raise ValueError, which says where, for an array with NaN or infinity."""
    if array.dtype.kind == "f" and not (finite := np.isfinite(array)).all():
        row, *_ = np.argwhere(~finite)[0]
        raise ValueError(f"not finite: row {row} is {array[row]}")


def to_labels(array: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Return the indices of classes, given as such or by name; raises ValueError for others."""
    if array.dtype.kind == "U":
        places = {name: place for place, name in enumerate(classes)}
        labels = np.array([places.get(name, -1) for name in array])
    else:
        labels = array.astype(np.int64)
    wrong = (labels < 0) | (labels >= len(classes))
    if array.dtype.kind == "f":
        wrong |= labels != array
    if wrong.any():
        row = int(wrong.argmax())
        raise ValueError(
            f"no classes: row {row} is {array[row].item()!r}, neither a name nor an index "
            f"(0 to {len(classes) - 1}) of the {len(classes)} classes"
        )
    return labels


def to_array(value: Any) -> np.ndarray:
    """Return a tensor, a list or a column of a table as an array; raises what NumPy raises."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
        return np.asarray(value.numpy())
    array = np.asarray(value)
    if array.dtype == object and array.size:
        if all(isinstance(entry, str) for entry in array.flat):
            return array.astype(str)
        if all(isinstance(entry, Real | np.bool_) for entry in array.flat):  # of a nullable column
            return np.array(array.tolist())
    return array


def _reject(split: str, predict: Callable[[], Any], what: str) -> TaskError:
    return TaskError(
        f"the predictions of {split!r} are {what}{find_line(predict)}\n"
        "return an array with a row per example: class probabilities (n, classes), or answers (n,)"
    )


def find_line(function: Callable[..., Any]) -> str:
    """Return ` (FILE, line N)` of where a function is defined, "" where that is unknown."""
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f" ({code.co_filename}, line {code.co_firstlineno})" if code else ""
