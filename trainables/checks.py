"""Checks of a Config's values, for its `__post_init__`; each names the value in its message."""

from __future__ import annotations

import math
from collections.abc import Callable


def check_positive(config: object, *names: str) -> None:
    """Raise ValueError unless the named fields are finite numbers above 0."""
    _check(config, names, lambda value: 0 < value < math.inf, "above 0")


def check_non_negative(config: object, *names: str) -> None:
    """Raise ValueError unless the named fields are finite numbers of at least 0."""
    _check(config, names, lambda value: 0 <= value < math.inf, "at least 0")


def check_at_least(config: object, low: int, *names: str) -> None:
    """Raise ValueError unless the named fields are at least `low`."""
    _check(config, names, lambda value: value >= low, f"at least {low}")


def check_fraction(config: object, *names: str) -> None:
    """Raise ValueError unless the named fields are at least 0 and below 1."""
    _check(config, names, lambda value: 0 <= value < 1, "in [0, 1)")


def check_between(config: object, low: float, high: float, *names: str) -> None:
    """Raise ValueError unless the named fields are from `low` to `high`, both included."""
    _check(config, names, lambda value: low <= value <= high, f"in [{low}, {high}]")


def _check(
    config: object, names: tuple[str, ...], is_valid: Callable[[float], bool], expected: str
) -> None:
    for name in names:
        value = getattr(config, name)
        if not is_valid(value):
            raise ValueError(f"{name} must be {expected}, not {value}")
