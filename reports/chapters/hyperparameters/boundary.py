"""Warn if the best trials are near an end of a range: better values may be outside of it."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest

from reports.read.space import Parameter, find_value
from reports.read.winner import Choice
from reports.write.safe import format_code
from reports.write.tables import format_value

EDGE = 0.05  # of the range, in log scale where the range is
BEST = 10  # trials that count as best
RARE = 0.05  # largest p-value of so many of the best trials near an end


@dataclass(frozen=True)
class Edge:
    """Number of the best trials near the ends of a range."""

    of: int  # best trials
    span: str  # of their values
    at_low: int = 0
    at_high: int = 0
    low_warned: bool = False
    high_warned: bool = False
    warning: str = ""


def count_near_edges(
    space: tuple[Parameter, ...], parameter: Parameter, choice: Choice, mode: str
) -> Edge:
    """Count the best trials near both ends; warn if the winner or many of them are there.

    Many: significantly more than for uniform samples of the range (one-sided binomial test).
    """
    best = choice.candidates[:BEST]
    found = [v for trial in best if (v := find_value(space, parameter, trial)) is not None]
    if parameter.choices or not found:
        return Edge(len(best), _count_choices(parameter, found))
    span = f"{min(found):.3g} to {max(found):.3g}"
    places = [parameter.find_position(v) for v in found]
    low = sum(place <= EDGE for place in places)
    high = sum(place >= 1 - EDGE for place in places)
    if not parameter.is_checked:
        return Edge(len(best), span, low, high)
    mine = find_value(space, parameter, choice.winner)
    place = None if mine is None else parameter.find_position(mine)
    winner_low = place is not None and place <= EDGE
    winner_high = place is not None and place >= 1 - EDGE
    low_warned = winner_low or _is_crowded(parameter, low, len(found))
    high_warned = winner_high or _is_crowded(parameter, high, len(found))
    warnings = [
        _describe_edge(parameter, count, len(found), end, at, winner)
        for warned, count, end, at, winner in (
            (low_warned, low, "lower", parameter.low, winner_low),
            (high_warned, high, "upper", parameter.high, winner_high),
        )
        if warned
    ]
    return Edge(len(best), span, low, high, low_warned, high_warned, " ".join(warnings))


def _is_crowded(parameter: Parameter, count: int, of: int) -> bool:
    return count >= 2 and bool(
        binomtest(count, of, _expect_share(parameter), "greater").pvalue < RARE
    )


def _expect_share(parameter: Parameter) -> float:
    """Return the share of uniform samples near an end: integers have few values."""
    step = parameter.step or (1.0 if parameter.whole else None)
    if step is None or parameter.log:
        return EDGE
    levels = np.arange(parameter.low, parameter.high + step / 2, step)
    return float(np.mean((levels - parameter.low) <= EDGE * (parameter.high - parameter.low)))


def _describe_edge(
    parameter: Parameter, count: int, of: int, end: str, at: float, winner: bool
) -> str:
    who = f"{count} of the {of} best trials" if of > 1 else "the only trial"
    winners = " (the winner among them)" if winner and count > 1 else ""
    if winner and count == 1:
        who = "the winner"
    verb = "are" if count > 1 else "is"
    name = format_code(parameter.name)
    return f"{name}: {who}{winners} {verb} at the {end} end of the range, {at:g}."


def _count_choices(parameter: Parameter, found: list[str]) -> str:
    counts = [(found.count(choice), choice) for choice in parameter.choices if choice in found]
    return ", ".join(f"{format_value(c)}: {n}" for n, c in sorted(counts, reverse=True))
