"""Figures of a report: one style, and one function per figure from records to a matplotlib figure.

Every figure is saved as PNG for reading and as SVG for print, the same bytes each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, ListedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from reports.search import Curve, Search, TrialRecord
from reports.statistics import finite, ranked, smoothed
from reports.tables import is_share

MARK = "#c1440e"  # a red that differs from every viridis shade in lightness and hue
SCALED_FROM = 0.4  # this share of the scores, the worst, gets one colour: the rest is of interest


@contextmanager
def style() -> Iterator[None]:
    """The look of all figures: thin grey frames, one font size, no machine-dependent bytes."""
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
        "figure.dpi": 160,
        "savefig.facecolor": "white",
    }
    with matplotlib.rc_context(settings):
        yield


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write `name`.png and `name`.svg into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with style():
        figure.savefig(folder / f"{name}.png", metadata={"Software": None})
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None})


def curve_keys(search: Search) -> tuple[str, ...]:
    """The metrics worth a panel: the one searched for, and the loss that was minimised."""
    logged = {key for trial in search.trials for key in trial.metrics}
    wanted = (search.metric, "train_loss")
    return tuple(key for key in dict.fromkeys(wanted) if key in logged)


def training_curves(
    search: Search, trials: Sequence[TrialRecord], winner: int, keys: Sequence[str]
) -> Figure | None:
    """Metrics over reports, one line per trial, coloured by score; trial `winner` stands out.

    None where no trial has two reports to join by a line.
    """
    keys = [key for key in keys if any(len(_drawable(t, key)) > 1 for t in trials)]
    scores = [t.metrics["score"] for t in trials if finite(t.metrics.get("score"))]
    if not keys or not scores:
        return None
    colours, norm = _colours(scores, search.mode)
    with style():
        figure = Figure(figsize=(4.1 * len(keys) + 0.9, 3.3), layout="constrained")
        if search.synthetic:  # figures are passed on without the report around them
            figure.suptitle("SYNTHETIC DATA", color=MARK)
        panels = figure.subplots(1, len(keys), squeeze=False)[0]
        for axes, key in zip(panels, keys, strict=True):
            _lines(axes, search, trials, winner, key, colours, norm)
            _frame(axes, [_drawable(trial, key) for trial in trials], key)
        panels[0].legend(loc="best")
        bar = figure.colorbar(
            ScalarMappable(norm, colours),
            ax=list(panels),
            label=f"best {_words(search.metric)} of the trial",
            extend=_extend(scores, norm),
            pad=0.02,
        )
        if is_share(search.metric):
            bar.ax.yaxis.set_major_formatter(FuncFormatter(_per_cent))
    return figure


def _lines(
    axes: Axes,
    search: Search,
    trials: Sequence[TrialRecord],
    winner: int,
    key: str,
    colours: Colormap,
    norm: Normalize,
) -> None:
    scored = [t for t in trials if finite(t.metrics.get("score")) and t.number != winner]
    worst_first = ranked(scored, lambda t: t.metrics["score"], search.mode)[::-1]
    worst_first.sort(key=lambda t: t.number == 0)  # the default over the others, under the winner
    for trial in [*worst_first, *(t for t in trials if t.number == winner)]:
        curve = _drawable(trial, key)
        if not curve:
            continue
        best, default = trial.number == winner, trial.number == 0
        colour = MARK if best else "black" if default else colours(norm(trial.metrics["score"]))
        label = f"winner (trial {winner})" if best else "default (trial 0)" if default else None
        dashes = "--" if default and not best else "-"
        steps, values = zip(*curve, strict=True)
        smooth = smoothed(values)
        dot = "." if len(curve) == 1 else ""
        if smooth is None:
            axes.plot(
                steps, values, dashes, color=colour, lw=2 if best else 1, marker=dot, label=label
            )
            continue
        axes.plot(steps, values, color=colour, lw=0.5, alpha=0.9 if best else 0.45)
        axes.plot(steps, smooth, dashes, color=colour, lw=2.2 if best else 1.2, label=label)


def _frame(axes: Axes, curves: Sequence[Curve], key: str) -> None:
    values = np.array([value for curve in curves for _, value in curve])
    low, high = values.min(), values.max()
    if is_share(key):
        # A few trials that learn nothing must not press all others into a band at the top.
        low = max(low, 2 * np.quantile(values, 0.2) - high)
        axes.yaxis.set_major_formatter(FuncFormatter(_per_cent))
    elif low > 0 and high / low > 30:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    elif values.size > 20:
        high = min(high, np.quantile(values, 0.98))
    if axes.get_yscale() == "linear" and high > low:
        margin = 0.04 * (high - low)
        axes.set_ylim(low - margin, high + margin)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("report")
    axes.set_ylabel(_words(key))


def _colours(scores: Sequence[float], mode: str) -> tuple[Colormap, Normalize]:
    # viridis without its palest fifth, which is lost on paper; the better, the darker.
    shades = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, 256))
    colours = ListedColormap(shades[::-1] if mode == "max" else shades)
    ends = (SCALED_FROM, 1) if mode == "max" else (0, 1 - SCALED_FROM)
    low, high = np.quantile(scores, ends)
    return colours, Normalize(low, high if high > low else low + 1e-9, clip=True)


def _extend(scores: Sequence[float], norm: Normalize) -> str:
    low, high = norm.vmin or 0.0, norm.vmax or 0.0
    below, above = min(scores) < low, max(scores) > high
    return {(True, True): "both", (True, False): "min", (False, True): "max"}.get(
        (below, above), "neither"
    )


def _drawable(trial: TrialRecord, key: str) -> Curve:
    return tuple(point for point in trial.curves.get(key, ()) if finite(point[1]))


def _words(key: str) -> str:
    return key.replace("_", " ")


def _per_cent(value: float, _: object = None) -> str:
    return f"{value * 100:.4g} %"
