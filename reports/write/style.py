"""One style for every figure: thin grey frames, one font size, colours that a printer, a copier
and a colour-blind reader can tell apart. Every figure is saved as PNG and as SVG.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from reports.records import Search
from reports.write.tables import is_share

RED = "#c1440e"  # a red that differs from every viridis shade in lightness and hue
BLUE = "#0072b2"  # Okabe and Ito's (2008) blue
GREY = "0.6"
OUTCOME_COLOURS = {  # after Okabe and Ito, of five lightnesses, so that they differ in grey too
    "complete": BLUE,
    "stopped": "#bfe0f7",
    "diverged": "#e69f00",
    "failed": "#3d0f00",
    "unfinished": "0.93",
}
DPI = 160
RASTERIZE_FROM = (
    1500  # points beyond which an SVG would be slow to open: they become an image inside it
)
SCALED_FROM = 0.4  # this share of the scores, the worst, gets one colour: the rest is of interest


@contextmanager
def figure_style() -> Iterator[None]:
    """The look of all figures, without machine-dependent bytes."""
    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "0.35",
        "axes.grid": True,
        "grid.color": "0.92",
        "axes.axisbelow": True,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "svg.hashsalt": "tunery",  # else matplotlib draws ids at random
        "figure.dpi": DPI,
        "savefig.facecolor": "white",
    }
    with matplotlib.rc_context(settings):
        yield


def create_figure(search: Search, width: float, height: float) -> Figure:
    """A figure in inches that says so where the data are synthetic, since figures travel alone."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if search.is_synthetic:
        figure.suptitle("SYNTHETIC DATA", color=RED)
    return figure


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write `name`.png and `name`.svg into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with figure_style():
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def choose_score_colours(scores: Sequence[float], mode: str) -> tuple[Colormap, Normalize]:
    """Colours of scores, the better the darker."""
    # viridis without its palest fifth, which is lost on paper.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 256))
    colours = ListedColormap(shades[::-1] if mode == "max" else shades)
    ends = (SCALED_FROM, 1) if mode == "max" else (0, 1 - SCALED_FROM)
    low, high = np.quantile(scores, ends)
    return colours, Normalize(low, high if high > low else low + 1e-9, clip=True)


def find_extend(scores: Sequence[float], norm: Normalize) -> str:
    """Which ends of a colour bar stand for scores beyond them."""
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    below, above = min(scores) < low, max(scores) > high
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (below, above), "neither"
    )


def find_score_limits(
    scores: Sequence[float] | NDArray[np.float64], mode: str
) -> tuple[float, float]:
    """Ends of an axis of scores: a few hopeless ones must not press the others into a band."""
    values = np.asarray(scores, dtype=float)
    low, high = float(values.min()), float(values.max())
    poor = float(np.quantile(values, 0.2 if mode == "max" else 0.8))
    if mode == "max" and poor < high:
        low = max(low, 2 * poor - high)
    elif mode == "min" and poor > low:
        high = min(high, 2 * poor - low)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def format_score_axis(axis: Any, metric: str) -> None:
    """Accuracies are read in per cent."""
    if is_share(metric):
        axis.set_major_formatter(FuncFormatter(format_percent))


def set_log_axis(axes: Axes, which: str) -> None:
    """A log axis with ticks at 1, 2, 5 where it is short and no small numbers between them."""
    getattr(axes, f"set_{which}scale")("log")
    axis = getattr(axes, f"{which}axis")
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low) if low > 0 else 1
    subs = (1, 2, 5) if decades < 1.2 else (1, 3) if decades < 2.5 else (1,)
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.8g}"))
    axis.set_minor_formatter(NullFormatter())
    axis.set_minor_locator(NullLocator())


def to_words(key: str) -> str:
    """A metric's name as people write it."""
    return key.replace("_", " ")


def format_percent(value: float, _: object = None) -> str:
    """0.976 as `97.6 %`."""
    return f"{value * 100:.4g} %"
