"""The early stopping of a search: the names of the schedulers, and ASHA's rungs."""

from __future__ import annotations

import math

SCHEDULERS = ("asha", "promotion", "none", "median")
"""`asha` stops trials for good; `promotion` is ASHA that pauses them, and continues the best."""
WITH_RUNGS = ("asha", "promotion")
REDUCTION = 3
"""ASHA continues one in so many trials at each rung."""


def rungs(reports: int, min_reports: int) -> list[int]:
    """Return the reports at which ASHA compares trials (Li et al., 2020)."""
    count = int(math.log(reports / min_reports) / math.log(REDUCTION) + 1e-9) + 1
    return [rung for k in range(count) if (rung := min_reports * REDUCTION**k) < reports]


def expected_reports(trials: int, reports: int, min_reports: int, scheduler: str) -> int:
    """Return the number of reports that a search is likely to make, one in REDUCTION per rung."""
    if scheduler not in WITH_RUNGS:
        return trials * reports
    total, before, running = 0.0, 0, float(trials)
    for rung in [*rungs(reports, min(min_reports, reports)), reports]:
        total += running * (rung - before)
        before, running = rung, max(1.0, running / REDUCTION)
    return round(total)
