"""What a task yields is numbers by name, or an error that shows the value and the line."""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from trainables.errors import TaskError
from trainables.metrics import find_yield, read_metrics


class Name(str, enum.Enum):  # noqa: UP042
    """A name that prints as another one."""

    LOSS = "loss"


@pytest.mark.parametrize(
    "value",
    [
        *(1, 1.0, True, Decimal(1), Fraction(1)),
        *(np.float16(1), np.int64(1), np.bool_(True), np.array(1.0), np.longdouble(1)),
        *(torch.tensor(1), torch.tensor(1.0, requires_grad=True), torch.tensor(True)),
        torch.tensor(1.0, dtype=torch.bfloat16),
    ],
)
def test_numbers_of_any_library_are_floats(value: Any) -> None:
    found = read_metrics({"loss": value}, "loss")
    assert found == {"loss": 1.0} and type(found["loss"]) is float


def test_undefined_values_are_kept_and_names_are_plain_texts() -> None:
    found = read_metrics({Name.LOSS: math.nan, "f1 (macro)": -math.inf, np.str_("μ"): 1}, "loss")
    assert [type(name) for name in found] == [str] * 3
    assert list(found) == ["loss", "f1 (macro)", "μ"]
    assert math.isnan(found["loss"]) and found["f1 (macro)"] == -math.inf


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0.5", r"'0.5' \(str\), not a number"),
        (None, r"None \(NoneType\), not a number"),
        ([0.1, 0.2], r"\[0.1, 0.2\] \(list\), not a number"),
        (1j, r"1j \(complex\)"),
        (np.zeros(2), r"\[0., 0.\]\) \(ndarray\) of shape \(2,\)"),
        (np.datetime64("2026-01-01"), r"\(datetime64\)"),
        (torch.zeros(1), r"\(Tensor\) of shape \(1,\)"),
        (torch.tensor(1j), r"\(Tensor\)"),
        (10**400, r"\(int\), not a float: int too large"),
        (Decimal("sNaN"), r"\(Decimal\), not a float"),
        (torch.empty((), device="meta"), r"\(Tensor\): .*meta"),
        ("x" * 500, r"'x{79}\.\.\. \(str\)"),
    ],
)
def test_any_other_value_is_shown_with_its_metric_and_type(value: Any, shown: str) -> None:
    with pytest.raises(TaskError, match=f"the metric 'f1' is .*{shown}"):
        read_metrics({"loss": 1.0, "f1": value}, "loss")


def test_a_masked_value_is_undefined_whatever_lies_below_the_mask() -> None:
    below = np.ma.array(3.0, mask=True)
    found = read_metrics({"loss": np.ma.masked, "f1": below, "recall": np.ma.array(3.0)})
    assert math.isnan(found["loss"]) and math.isnan(found["f1"]) and found["recall"] == 3


def test_a_name_that_utf_8_cannot_store_is_rejected() -> None:
    with pytest.raises(TaskError, match=r"the name 'caf\\udce9' .*UTF-8 cannot store it"):
        read_metrics({"caf\udce9": 1.0})


@pytest.mark.parametrize("name", [5, "", " ", None, ("a", "b")])
def test_a_name_is_a_text(name: Any) -> None:
    with pytest.raises(TaskError, match=r"a metric has the name .* \(\w+\)\nname it by a string"):
        read_metrics({"loss": 1.0, name: 3.0}, "loss")


@pytest.mark.parametrize("report", [0.5, None, [("loss", 1.0)], "loss"])
def test_a_report_is_a_mapping(report: Any) -> None:
    with pytest.raises(TaskError, match=r"a report is .* \(\w+\), not a mapping"):
        read_metrics(report, "loss")


def test_a_report_without_the_searched_metric_says_what_it_has() -> None:
    with pytest.raises(TaskError, match="lacks the searched metric 'loss'; it has 'a', 'b'"):
        read_metrics({"a": 1, "b": 2}, "loss")
    with pytest.raises(TaskError, match="lacks the searched metric 'loss'; it has nothing"):
        read_metrics({}, "loss")


def _inner() -> Iterator[dict[str, Any]]:
    yield {"loss": "x"}


def _outer() -> Iterator[dict[str, Any]]:
    yield from _inner()


def test_an_error_names_the_line_of_the_yield() -> None:
    loop = _outer()
    report = next(loop)
    line = _inner.__code__.co_firstlineno + 1
    with pytest.raises(TaskError, match=rf"not a number \({__file__}, line {line}\)"):
        read_metrics(report, "loss", find_yield(loop))
    loop.close()
    assert find_yield(loop) == find_yield(iter([])) == ""


def test_a_number_that_databases_store_for_infinity_is_infinite() -> None:
    report = {"loss": 1.79e308, "gain": -1e300, "size": 2**70, "small": 5e-324, "large": 9e299}
    assert read_metrics(report, "loss") == {
        **{"loss": math.inf, "gain": -math.inf, "size": float(2**70), "small": 5e-324},
        "large": 9e299,
    }
