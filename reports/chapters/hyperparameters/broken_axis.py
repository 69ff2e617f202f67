"""A broken score axis: outliers are in a compressed part, so that the others keep their space."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

HEIGHT = 0.3  # of the compressed part, relative to the main part
TICKS = 5  # at most, in the main part


def set_broken_axis(
    axes: Axes, frame: tuple[float, float], scores: Sequence[float], mode: str
) -> bool:
    """Set the limits of the y axis to `frame`, with a compressed part for worse scores.

    Returns whether there is such a part. Shared axes get the same scale.
    """
    low, high = frame
    edge = low if mode == "max" else high
    far = [score for score in scores if (score < low if mode == "max" else score > high)]
    if not far:
        axes.set_ylim(*frame)
        return False
    end = min(far) if mode == "max" else max(far)
    factor = min(1.0, HEIGHT * (high - low) / abs(end - edge))

    def beyond(y: Any, by: float) -> Any:
        y = np.asarray(y, dtype=float)
        return np.where(y < edge if mode == "max" else y > edge, edge + (y - edge) * by, y)

    axes.set_yscale(
        "function", functions=(lambda y: beyond(y, factor), lambda y: beyond(y, 1 / factor))
    )
    margin = 0.05 * (high - low) / factor
    axes.set_ylim(*((end - margin, high) if mode == "max" else (low, end + margin)))
    inside = [tick for tick in MaxNLocator(TICKS).tick_values(low, high) if low < tick < high]
    axes.yaxis.set_major_locator(FixedLocator([*inside, float(f"{end:.2g}")]))
    axes.yaxis.set_minor_locator(NullLocator())
    return True
