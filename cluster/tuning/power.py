"""Which difference of two means over seeds a comparison finds, before and after it was made."""

from __future__ import annotations

import math

from scipy.special import nctdtrinc, stdtrit

POWER = 0.8  # how often the difference is found
LEVEL = 0.05  # of all pairs together
FEWEST = 3  # seeds per row; two agree by chance too often for any difference to be found
MANY = 10  # seeds, which are named beside fewer


def find_detectable(rows: int, seeds: int) -> float | None:
    """Return the difference that is found with a probability of POWER, in standard deviations.

    These are of the scores of a row over its seeds, in a comparison of all pairs of `rows` rows.
    It is the power of Student's t-test with Bonferroni's correction and three quarters of the
    pooled degrees of freedom, since the spread of each pair is estimated as well, for normal
    scores: an approximation of `reports.numbers.means`, which finds 75 to 88 % in simulation
    (`tests/cluster/tuning/test_power.py`). None for fewer than FEWEST seeds or two rows.
    """
    if seeds < FEWEST or rows < 2:
        return None
    freedom = 0.75 * rows * (seeds - 1)
    least = stdtrit(freedom, 1 - LEVEL / 2 / math.comb(rows, 2))
    return float(nctdtrinc(freedom, 1 - POWER, least)) * math.sqrt(2 / seeds)


def describe_power(rows: int, seeds: int) -> str:
    """Return in a sentence which difference so many seeds per row find; empty for one row."""
    if rows < 2:
        return ""
    found = find_detectable(rows, seeds)
    many = find_detectable(rows, MANY)
    head = (
        f"{seeds} seeds find a difference of two of {rows} arms in {100 * POWER:.0f} % of "
        f"comparisons if it is about {found:.1f} standard deviations between seeds"
        if found
        else f"with {seeds} seed{'s' if seeds > 1 else ''} no difference of two of {rows} arms, "
        f"however large, is found in {100 * POWER:.0f} % of comparisons"
    )
    return head + (f"; {MANY} seeds, {many:.1f}" if seeds < MANY else "")
