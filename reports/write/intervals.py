"""Numbers with their uncertainty as text."""

import math

from reports.numbers.statistics import Interval
from reports.write.tables import format_score, is_share


def format_interval(interval: Interval, metric: str) -> str:
    """Return `97.12 % (96.80 to 97.44 %)`, or only the value if its interval is unknown.

    Ends of a share are clipped to 0 and 1, since Student's t may exceed them.
    """
    value = format_score(interval.value, metric)
    if not interval.is_known:
        return value
    ends = (interval.low, interval.high)
    if is_share(metric) and 0 <= interval.value <= 1:
        ends = (max(0.0, ends[0]), min(1.0, ends[1]))
    low, high = (format_score(end, metric) for end in ends)
    return f"{value} ({low.removesuffix(' %')} to {high})"


def format_difference(interval: Interval, metric: str) -> str:
    """Return `+0.42 points (95 % interval -0.10 to +0.94)`; points are percentage points."""
    share = is_share(metric)
    factor, unit, digits = (100, " points", ".2f") if share else (1, "", ".4g")
    most = 1.0 if share else math.inf  # the largest difference of two shares
    ends = (max(-most, interval.low), min(most, interval.high))
    value, low, high = (format(x * factor, f"+{digits}") for x in (interval.value, *ends))
    known = f" (95 % interval {low} to {high})" if interval.is_known else ""
    return f"{value}{unit}{known}"


def format_p_value(p: float) -> str:
    """Return `p = 0.032` or `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def format_probability(interval: Interval) -> str:
    """Return a probability with its interval as `0.84 (0.51 to 0.97)`."""
    known = f" ({interval.low:.2f} to {interval.high:.2f})" if interval.is_known else ""
    return f"{interval.value:.2f}{known}"
