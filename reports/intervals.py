"""Numbers with their uncertainty, as people read them."""

from reports.statistics import Interval
from reports.tables import is_share, score_text


def interval_text(interval: Interval, metric: str) -> str:
    """`97.12 % (96.80 to 97.44 %)`, or the value alone where its interval is unknown."""
    value = score_text(interval.value, metric)
    if not interval.known:
        return value
    low, high = score_text(interval.low, metric), score_text(interval.high, metric)
    return f"{value} ({low.removesuffix(' %')} to {high})"


def chance_text(interval: Interval) -> str:
    """`0.84 (0.51 to 0.97)`: a probability that is no share of examples."""
    known = f" ({interval.low:.2f} to {interval.high:.2f})" if interval.known else ""
    return f"{interval.value:.2f}{known}"


def difference_text(interval: Interval, metric: str) -> str:
    """`+0.42 points (95 % interval -0.10 to +0.94)`; points are per cent of the examples."""
    factor, unit, digits = (100, " points", ".2f") if is_share(metric) else (1, "", ".4g")
    value, low, high = (
        format(x * factor, f"+{digits}") for x in (interval.value, interval.low, interval.high)
    )
    known = f" (95 % interval {low} to {high})" if interval.known else ""
    return f"{value}{unit}{known}"


def p_text(p: float) -> str:
    """`p = 0.032`, `p < 0.001`."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
