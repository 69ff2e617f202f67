"""Shares of simulated experiments, with their Monte-Carlo error and what is required of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

Experiment = Callable[[np.random.Generator], bool]


@dataclass(frozen=True)
class Rate:
    """A share of n simulated experiments."""

    value: float
    n: int

    def get_error(self, expected: float | None = None) -> float:
        """Return the standard error, that of the expected share if one is given."""
        share = self.value if expected is None else expected
        return math.sqrt(max(share * (1 - share), 1e-9) / self.n)


@dataclass(frozen=True)
class Row:
    """A line of the table: what was simulated, what is required, and the share."""

    what: str
    setting: str
    rate: Rate
    low: float = 0.0
    high: float = 1.0
    is_required: bool = True  # False: outside of the stated setting, for information

    @property
    def holds(self) -> bool:
        """Return whether the share is in its range, up to two standard errors."""
        low = self.low - 2 * self.rate.get_error(self.low) if self.low else 0.0
        high = self.high + 2 * self.rate.get_error(self.high) if self.high < 1 else 1.0
        return low <= self.rate.value <= high

    def to_line(self) -> str:
        """Return the row as a line of a markdown table."""
        required = f"at least {self.low:.0%}" if self.low else f"at most {self.high:.0%}"
        if self.low and self.high < 1:
            required = f"{self.low:.0%} to {self.high:.0%}"
        verdict = ("met" if self.holds else "MISSED") if self.is_required else "for information"
        share, error, n = self.rate.value, self.rate.get_error(), self.rate.n
        return (
            f"| {self.what} | {self.setting} | {required} | {share:.2%} | {error:.2%} | {n:,} "
            f"| {verdict} |"
        )


Rows = Iterator[Row]


def repeat(experiment: Experiment, experiments: int, seed: int = 0) -> Rate:
    """Return in which share of the experiments the outcome is true."""
    random = np.random.default_rng(seed)
    return Rate(float(np.mean([experiment(random) for _ in range(experiments)])), experiments)
