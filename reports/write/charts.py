"""Charts of an HTML report that answer to the pointer: data and layout as Plotly reads them.

Plotly's own Python package is not needed: a chart is JSON, and the page has the script.
"""

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reports.records import Search, TrialRecord
from reports.write.style import BLUE, RED, to_words
from reports.write.tables import format_score, format_value, is_share

Chart = Mapping[str, Any]
"""`data`, a list of traces, and `layout`."""
SCRIPT = Path(__file__).with_name("plotly-basic.min.js")
"""plotly.js 4.1.1, its bundle of basic charts (MIT licence, at the beginning of the file)."""
SETTINGS = 12  # hyperparameters beside a point
PLOTTED = 2000  # trials in a chart
MARKS: dict[str, dict[str, Any]] = {
    "complete": {"color": BLUE, "size": 9},
    "stopped": {"color": "#888888", "size": 8, "symbol": "circle-open"},
    "unfinished": {"color": "#bbbbbb", "size": 8, "symbol": "diamond-open"},
    "winner": {"color": RED, "size": 15, "symbol": "star"},
}


def make_layout(search: Search, x: str, y: str) -> dict[str, Any]:
    """Return the layout of a chart with these names of its axes; the y axis is a metric."""
    return {
        "margin": {"l": 62, "r": 12, "t": 46, "b": 46},
        "xaxis": {"title": {"text": html.escape(x)}, "automargin": True},
        "yaxis": format_axis(y),
        "hovermode": "closest",
        "hoverlabel": {"align": "left"},
        "legend": {"orientation": "h", "y": -0.25, "yanchor": "top"},
        "title": {"text": "SYNTHETIC DATA" if search.is_synthetic else ""},
    }


def format_axis(metric: str, before: str = "") -> dict[str, Any]:
    """Return the axis of a metric: accuracies in per cent, of which there are at most 100."""
    title = {"text": before + html.escape(to_words(metric))}
    axis: dict[str, Any] = {"title": title, "automargin": True}
    if is_share(metric):
        axis |= {"tickformat": ".4~p", "maxallowed": 1}
    return axis


def make_menu(buttons: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the menu of a chart that shows one of several hyperparameters or metrics."""
    place = {"x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"}
    return [{"type": "dropdown", **place, "buttons": list(buttons)}] if len(buttons) > 1 else []


def describe_trial(search: Search, trial: TrialRecord) -> str:
    """Return what is shown beside the point of a trial: outcome, score and hyperparameters."""
    score = format_score(trial.metrics.get("score"), search.metric)
    settings = [f"{name} = {format_value(text)}" for name, text in trial.params.items()]
    more = len(settings) - SETTINGS
    lines = [
        f"{trial.title}, {trial.outcome}",
        f"best {to_words(search.metric)} {score}" if score else "no score",
        *settings[:SETTINGS],
        *([f"and {more} more"] if more > 0 else []),
    ]
    return "<br>".join(html.escape(line) for line in lines)  # Plotly reads tags


def to_script_json(chart: Chart) -> str:
    """Return a chart as JSON that may stand in a script element, whatever it contains."""
    text = json.dumps(chart, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
