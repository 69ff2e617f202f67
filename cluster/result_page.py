"""The result of a search as Python and Jupyter show it: the winner, and what to do next."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.sampling.ranges import format_number

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Trials in the table."""
DRAWN = 50
"""Trials whose curves are drawn, the best ones."""
NEXT = (
    ("result.report()", "write the report: it opens the test set, once"),
    ("result.trials, result.curves", "everything as DataFrames"),
    ("result.resume(trials=20)", "continue with 20 more trials"),
)
MODEL = ("result.model()", "the winner as a function")


def describe_result(
    name: str,
    metric: str,
    count: int,
    best: tuple[int, float, Mapping[str, Any]] | None,
    folder: Path,
    has_model: bool,
) -> str:
    """Return a result of `count` trials as a few lines; `best` is that of `show_result`."""
    if best is None:
        return f"{name}: no trial of {count} has a score\n{folder}"
    trial, score, config = best
    offered = (*NEXT, *([MODEL] if has_model else []))
    return "\n".join(
        (
            f"{name}: best {metric} {format_number(score)}, trial {trial} of {count}",
            f"  {_format_config(config)}",
            f"  {folder}",
            f"  next: {', '.join(code for code, _ in offered)}",
        )
    )


def show_result(
    title: str,
    metric: str,
    trials: pd.DataFrame,
    curves: pd.DataFrame,
    ranked: Sequence[int],
    best: tuple[int, float, Mapping[str, Any]] | None,
    folder: Path,
    has_model: bool = True,
) -> str:
    """Return a result as HTML; `ranked` are the trials with a score, the best first.

    `best` is the winner: its trial, score and configuration. `has_model` says whether
    `Result.model` can load it.
    """
    parts = [f"<p><b>{html.escape(title)}</b></p>"]
    if best is None:
        parts.append(f"<p>No trial of {len(trials)} has a score.</p>")
        return "".join([*parts, trials.head(SHOWN).to_html(border=0)])
    trial, score, config = best
    parts.append(
        f"<p>best {html.escape(metric)}: <b>{html.escape(format_number(score))}</b>, "
        f"trial {trial} of {len(trials)}, with "
        f"<code>{html.escape(_format_config(config))}</code></p>"
    )
    # Columns that are the same in all trials tell nothing.
    table = trials.loc[list(ranked[:SHOWN])]
    varying = [
        n for n in table if n in ("score", "outcome") or trials[n].astype(str).nunique() > 1
    ]
    parts.append(table[varying].to_html(border=0, float_format=format_number))
    if curves.index.get_level_values("report").max() > 1:
        image = base64.b64encode(draw_curves(metric, curves, ranked[:DRAWN])).decode()
        parts.append(
            f'<img alt="{html.escape(metric)} by report" src="data:image/png;base64,{image}">'
        )
    offered = (*NEXT, *([MODEL] if has_model else []))
    steps = "".join(f"<li><code>{code}</code>: {what}</li>" for code, what in offered)
    parts.append(f"<p>{html.escape(str(folder))}; next:</p><ul>{steps}</ul>")
    return "".join(parts)


def _format_config(config: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={format_number(value)}" for name, value in config.items())


def draw_curves(metric: str, curves: pd.DataFrame, ranked: Sequence[int]) -> bytes:
    """Return a PNG of the metric against the report, a line per trial, the winner's in red."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3), layout="constrained")
    axes = figure.subplots()
    for place, trial in reversed(list(enumerate(ranked))):
        curve = curves.loc[trial, metric]
        color, width = ("tab:red", 2.0) if place == 0 else ("0.6", 0.8)
        label = f"trial {trial}, the best" if place == 0 else None
        marker = "." if len(curve) == 1 else None
        axes.plot(curve.index, curve, color=color, linewidth=width, label=label, marker=marker)
    axes.set_xlabel("report")
    axes.set_ylabel(metric.replace("$", r"\$"))
    axes.legend(frameon=False)
    file = io.BytesIO()
    figure.savefig(file, dpi=110)
    return file.getvalue()
