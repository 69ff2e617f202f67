"""The checks of a Config's values: their bounds, and messages that name the value."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import pytest

from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)

Check = Callable[..., None]


def check_count(config: object, *names: str) -> None:
    check_at_least(config, 1, *names)


def check_angle(config: object, *names: str) -> None:
    check_between(config, 0, 180, *names)


@pytest.mark.parametrize(
    ("check", "valid", "invalid", "expected"),
    [
        (check_positive, (1e-9, 3), (0, -1.0, math.inf, math.nan), "above 0"),
        (check_non_negative, (0, 2.5), (-1e-9, math.inf, math.nan), "at least 0"),
        (check_count, (1, 10**9), (0, -3), "at least 1"),
        (check_fraction, (0, 0.999), (1, -0.1, math.nan), r"in \[0, 1\)"),
        (check_angle, (0, 180, 0.5), (-1, 180.5, math.nan), r"in \[0, 180\]"),
    ],
)
def test_values_outside_the_bounds_are_rejected_by_name(
    check: Check, valid: tuple[float, ...], invalid: tuple[float, ...], expected: str
) -> None:
    for value in valid:
        check(SimpleNamespace(rate=value), "rate")
    for value in invalid:
        with pytest.raises(ValueError, match=f"^rate must be {expected}, not {value}$"):
            check(SimpleNamespace(rate=value), "rate")


@pytest.mark.parametrize(
    "check", [check_positive, check_non_negative, check_count, check_fraction, check_angle]
)
def test_every_named_field_is_checked(check: Check) -> None:
    config = partial(SimpleNamespace, first=0.5, last=0.5, other=-1)
    if check is check_count:
        config = partial(SimpleNamespace, first=2, last=2, other=-1)
    check(config(), "first", "last")
    for name in ("first", "last"):
        with pytest.raises(ValueError, match=f"{name} must be"):
            check(config(**{name: -1}), "first", "last")
