"""What a task predicts for a split, checked where it comes in: one row per example."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from trainables.errors import TaskError
from trainables.metrics import describe_value


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


def read_predictions(split: str, predict: Callable[[], Any]) -> np.ndarray:
    """Call a function of a task and return what it predicts, as an array.

    That is (n, classes) of numbers, or (n,) of numbers or texts. It may return a tensor, a list or
    whatever NumPy converts to such an array. Raises TaskError for anything else.
    """
    given = predict()
    try:
        array = _to_array(given)
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
    return array


def _to_array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
        return np.asarray(value.numpy())
    array = np.asarray(value)
    if array.dtype == object and array.size and all(isinstance(v, str) for v in array.flat):
        return array.astype(str)
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
