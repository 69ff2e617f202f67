"""The style of all figures: thin grey frames, one font size, and colours that differ in print,
in grey and for colour-blind readers. Every figure is saved as PNG and as SVG.
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
from reports.write.labels import list_chosen_fonts, to_label
from reports.write.tables import is_share

RED = "#c1440e"  # differs from every viridis shade in lightness and hue
BLUE = "#0072b2"  # Okabe and Ito's (2008) blue
GREY = "0.6"
OUTCOME_COLOURS = {  # Okabe and Ito's, of five lightnesses, so that they also differ in grey
    "complete": BLUE,
    "stopped": "#bfe0f7",
    "diverged": "#e69f00",
    "failed": "#3d0f00",
    "unfinished": "#ededed",
}
DPI = 160
RASTERIZE_FROM = 1500  # points; a larger SVG is slow to open: they become an image in it
SCALED_FROM = 0.4  # the worst scores, this share of them, have the same colour


@contextmanager
def figure_style() -> Iterator[None]:
    """Set the style of all figures; files have no machine-dependent bytes.

    The user's matplotlibrc changes nothing: with `text.usetex`, figures would need LaTeX.
    """
    settings: dict[Any, Any] = {
        "font.family": list(list_chosen_fonts()),
        "text.parse_math": False,  # a name may contain dollar signs
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
        "svg.hashsalt": "tunery",  # else ids are random
        "figure.dpi": DPI,
        "savefig.facecolor": "white",
    }
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        yield


def create_figure(search: Search, width: float, height: float) -> Figure:
    """Return a figure of this size in inches; it is marked if the data are synthetic."""
    figure = Figure(figsize=(width, height), layout="constrained")
    if search.is_synthetic:
        figure.suptitle("SYNTHETIC DATA", color=RED)
    return figure


def end_at_all(figure: Figure) -> None:
    """Let axes in per cent end at 100 %, which is the most that there is."""
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.set_xlim), (axes.yaxis, axes.set_ylim)):
            low, high = axis.get_view_interval()
            shows_percent = getattr(axis.get_major_formatter(), "func", None) is format_percent
            if shows_percent and low < 1 < high:
                limits(low, 1.0)


def save_figure(figure: Figure, folder: Path, name: str) -> None:
    """Write `name`.png and `name`.svg to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    end_at_all(figure)
    with figure_style():
        # Found once: to save a figure with its engine would draw it another time for each file.
        if (engine := figure.get_layout_engine()) is not None:
            engine.execute(figure)
            figure.set_layout_engine(None)
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def choose_score_colours(scores: Sequence[float], mode: str) -> tuple[Colormap, Normalize]:
    """Return colours of scores, darker for better ones, and their scale."""
    # viridis without its palest part, which is hard to see on paper.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 256))
    colours = ListedColormap(shades[::-1] if mode == "max" else shades)
    ends = (SCALED_FROM, 1) if mode == "max" else (0, 1 - SCALED_FROM)
    low, high = np.quantile(scores, ends)
    return colours, Normalize(low, high if high > low else low + 1e-9, clip=True)


def find_extend(scores: Sequence[float], norm: Normalize) -> str:
    """Return matplotlib's `extend` of a colour bar: the ends beyond which there are scores."""
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    below, above = min(scores) < low, max(scores) > high
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (below, above), "neither"
    )


def find_score_limits(
    scores: Sequence[float] | NDArray[np.float64], mode: str
) -> tuple[float, float]:
    """Return the limits of a score axis, (0, 1) without a score that can be drawn.

    Few very poor scores lie outside, since they would leave the others too little space.
    """
    values = np.asarray(scores, dtype=float)
    if not values.size:
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    poor = float(np.quantile(values, 0.2 if mode == "max" else 0.8))
    if mode == "max" and poor < high:
        low = max(low, 2 * poor - high)
    elif mode == "min" and poor > low:
        high = min(high, 2 * poor - low)
    margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def format_score_axis(axis: Any, metric: str) -> None:
    """Show accuracies in per cent."""
    if is_share(metric):
        axis.set_major_formatter(FuncFormatter(format_percent))


def set_log_axis(axes: Axes, which: str) -> None:
    """Set a log axis `which` (x or y), with ticks at 1, 2, 5 if it is short."""
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
    """Return a metric's name with spaces instead of underscores."""
    return key.replace("_", " ").strip() or key


def label_axis(key: str, before: str = "") -> str:
    """Return the name of a metric or a hyperparameter as the label of an axis."""
    return before + to_label(to_words(key))


def format_percent(value: float, _: object = None) -> str:
    """Return 0.976 as `97.6 %`."""
    return f"{value * 100:.4g} %"
