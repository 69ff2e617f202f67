"""Warn if the best trials are near an end of a range: better values may be outside of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import comb

from reports.read.space import Parameter, find_value
from reports.read.winner import Choice
from reports.records import TrialRecord
from reports.write.safe import format_code
from reports.write.tables import format_value

EDGE = 0.05  # of the range, in log scale where the range is
BEST = 10  # trials that count as best
RARE = 0.05  # probability of any warning where the score depends on nothing


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
    space: tuple[Parameter, ...],
    parameter: Parameter,
    choice: Choice,
    trials: Sequence[TrialRecord],
) -> Edge:
    """Count the best trials near both ends; warn if the best are there more often than others.

    The test is Fisher's, one-sided, of the best among all `trials`, whatever sampler drew them,
    and corrected for both ends of all hyperparameters (Bonferroni). The winner alone is no
    reason for a warning: one of ten uniform values is near an end.
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
    drawn = [find_value(space, parameter, trial) for trial in trials]
    all_places = [parameter.find_position(v) for v in drawn if v is not None]
    tests = 2 * sum(p.is_checked and not p.choices for p in space)
    all_low = sum(place <= EDGE for place in all_places)
    all_high = sum(place >= 1 - EDGE for place in all_places)
    low_warned, high_warned = (
        is_crowded(count, len(found), of_all, len(all_places), tests)
        for count, of_all in ((low, all_low), (high, all_high))
    )
    warnings = [
        _describe_edge(parameter, count, len(found), end, at)
        for warned, count, end, at in (
            (low_warned, low, "lower", parameter.low),
            (high_warned, high, "upper", parameter.high),
        )
        if warned
    ]
    return Edge(len(best), span, low, high, low_warned, high_warned, " ".join(warnings))


def is_crowded(count: int, best: int, near: int, trials: int, tests: float) -> bool:
    """Return whether `count` of the best trials near an end are too many for chance.

    `near` of all trials are near it. By Fisher's exact test, with Bonferroni's correction.
    """
    # Not scipy.stats, whose import takes a second of CPU.
    counts = np.arange(count, min(near, best) + 1)
    ways = comb(near, counts) * comb(trials - near, best - counts)
    return bool(ways.sum() / comb(trials, best) * tests < RARE)


def _describe_edge(parameter: Parameter, count: int, of: int, end: str, at: float) -> str:
    name = format_code(parameter.name)
    return f"{name}: {count} of the {of} best trials are at the {end} end of the range, {at:g}."


def _count_choices(parameter: Parameter, found: list[str]) -> str:
    counts = [(found.count(choice), choice) for choice in parameter.choices if choice in found]
    return ", ".join(f"{format_value(c)}: {n}" for n, c in sorted(counts, reverse=True))
