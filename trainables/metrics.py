"""What a task reports, checked where it comes in: metrics are numbers by name."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from trainables.errors import TaskError

LARGEST = 1e300
"""Numbers from here on count as infinite: MLflow's databases store infinity as the largest one."""


def read_metrics(report: Any, metric: str = "", where: str = "") -> dict[str, float]:
    """Return the metrics of one report as floats.

    A number is one of Python or NumPy, or a tensor or an array without dimensions; it may be NaN
    or infinite, as those beyond 1e300 are. `where` says which line made the report. Raises
    TaskError for any other value, for a name that is not a text, and where `metric` is missing.
    """
    if not isinstance(report, Mapping):
        raise TaskError(
            f"a report is {describe_value(report)}, not a mapping of names to numbers{where}\n"
            "report a dict such as {'loss': 0.1}"
        )
    numbers = read_numbers(report, "metric", where)
    if metric and metric not in numbers:
        names = ", ".join(map(repr, numbers)) or "nothing"
        raise TaskError(
            f"a report lacks the searched metric {metric!r}; it has {names}{where}\n"
            "add it to every report; other metrics may come less often"
        )
    return numbers


def read_numbers(values: Mapping[Any, Any], what: str, where: str = "") -> dict[str, float]:
    """Return the values as floats; raises TaskError, which says `what` a value is, and `where`."""
    numbers = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name.strip():
            raise TaskError(
                f"a {what} has the name {describe_value(name)}{where}\n"
                "name it by a string that is not empty"
            )
        try:
            name.encode()
        except UnicodeEncodeError as error:  # bytes of a file name that are not UTF-8
            raise TaskError(
                f"a {what} has the name {describe_value(name)}{where}: UTF-8 cannot store it\n"
                "name it by other characters, as with name.encode(errors='replace').decode()"
            ) from error
        numbers[str.__str__(name)] = _to_float(value, f"the {what} {name!r}", where)
    return numbers


def find_yield(loop: Any) -> str:
    """Return ` (FILE, line N)` where a generator is suspended, "" where that is unknown."""
    while inspect.isgenerator(inner := getattr(loop, "gi_yieldfrom", None)):
        loop = inner
    frame = getattr(loop, "gi_frame", None)
    return f" ({frame.f_code.co_filename}, line {frame.f_lineno})" if frame else ""


def _to_float(value: Any, what: str, where: str) -> float:
    given = value
    if getattr(value, "shape", None) == () and callable(getattr(value, "item", None)):
        try:
            # Of NumPy, PyTorch or JAX; below the mask of a masked array lies any number.
            value = math.nan if bool(np.ma.getmask(value)) else value.item()
        except (RuntimeError, TypeError, ValueError) as error:  # a tensor without values
            raise TaskError(f"{what} is {describe_value(given)}: {error}{where}") from error
    if not isinstance(value, Real | Decimal):
        shape = getattr(value, "shape", None)
        of = f" of shape {tuple(shape)}" if isinstance(shape, tuple) else ""
        raise TaskError(
            f"{what} is {describe_value(given)}{of}, not a number{where}\n"
            "report a single number, float('nan') where it is undefined, or leave it out"
        )
    try:
        number = float(value)
        return math.copysign(math.inf, number) if abs(number) >= LARGEST else number
    except (OverflowError, ValueError) as error:
        raise TaskError(
            f"{what} is {describe_value(given)}, not a float: {error}{where}"
        ) from error


def describe_value(value: Any) -> str:
    """Return a value's text in one line, shortened, and its type."""
    text = " ".join(repr(value).split())
    return f"{text[:80]}{'...' if text[80:] else ''} ({type(value).__name__})"
