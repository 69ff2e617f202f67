"""Training curves as a chart of an HTML report: a menu chooses the metric."""

import html
import math
from collections.abc import Sequence
from typing import Any

from matplotlib.colors import to_hex

from reports.numbers.statistics import is_finite, rank_by
from reports.records import Search, TrialRecord
from reports.write.charts import Chart, describe_trial, format_axis, make_layout, make_menu
from reports.write.style import RED, choose_score_colours, to_words


def make_chart(
    search: Search, trials: Sequence[TrialRecord], winner: int, keys: Sequence[str]
) -> Chart:
    """Return one trace per trial with a score; the winner is red and on top.

    The default is black and dashed.
    """
    scored = [t for t in trials if is_finite(t.metrics.get("score")) and any(t.curves.values())]
    worst_first = rank_by(scored, lambda t: t.metrics["score"], search.mode)[::-1]
    worst_first.sort(key=lambda t: t.number == winner)
    colours, norm = choose_score_colours([t.metrics["score"] for t in scored], search.mode)
    default_number = search.default.number if search.default else None
    data = []
    for trial in worst_first:
        best, default = trial.number == winner, trial.number == default_number
        shade = "#000000" if default else to_hex(colours(norm(trial.metrics["score"])))
        line = {"color": RED if best else shade, "width": 3 if best else 1.2}
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": "winner" if best else "default" if default else trial.title,
                "line": {**line, "dash": "dash" if default and not best else "solid"},
                "marker": {"size": 6 if best else 4},
                **_list_points(trial, keys[0]),
                "text": describe_trial(search, trial),
                "hovertemplate": "report %{x}: %{y}<br>%{text}<extra></extra>",
                "showlegend": best or default,
            }
        )
    layout = make_layout(search, "report", keys[0])
    buttons = []
    for key in keys:
        points = [_list_points(trial, key) for trial in worst_first]
        axis: dict[str, Any] = {"yaxis.tickformat": "", "yaxis.maxallowed": None}
        axis |= {f"yaxis.{name}": value for name, value in format_axis(key).items()}
        traces = {which: [p[which] for p in points] for which in ("x", "y")}
        change = {"label": html.escape(to_words(key)), "method": "update"}
        buttons.append({**change, "args": [traces, {**axis, "yaxis.autorange": True}]})
    layout["updatemenus"] = make_menu(buttons)
    return {"data": data, "layout": layout}


def _list_points(trial: TrialRecord, key: str) -> dict[str, list[Any]]:
    curve = trial.curves.get(key, ())
    values = [value if math.isfinite(value) else None for _, value in curve]
    return {"x": [step for step, _ in curve], "y": values}
