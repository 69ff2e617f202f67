"""Score against a hyperparameter as a chart of an HTML report: a menu chooses which."""

import html
from collections.abc import Sequence
from typing import Any

from reports.numbers.statistics import is_finite, rank_by, thin_out
from reports.read.space import Parameter, find_any_value
from reports.read.winner import Choice
from reports.records import Search, TrialRecord
from reports.write.charts import MARKS, PLOTTED, Chart, describe_trial, make_layout, make_menu
from reports.write.style import find_score_limits
from reports.write.tables import format_value, is_share


def make_chart(search: Search, choice: Choice, space: Sequence[Parameter]) -> Chart:
    """Return one trace per outcome, and one for the winner; trials without a score have none."""
    scored = [t for t in search.trials if is_finite(t.metrics.get("score"))]
    kept = thin_out(rank_by(scored, lambda t: t.metrics["score"], search.mode), PLOTTED)
    groups = {
        name: [t for t in kept if t.outcome == name and t is not choice.winner] for name in MARKS
    }
    groups["winner"] = [choice.winner]
    groups = {name: trials for name, trials in groups.items() if trials}
    data = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "marker": MARKS[name],
            "x": _list_values(space, space[0], trials),
            "y": [t.metrics["score"] for t in trials],
            "text": [describe_trial(search, t) for t in trials],
            "hoverinfo": "text",
        }
        for name, trials in groups.items()
    ]
    layout = make_layout(search, space[0].name, search.metric)
    layout["xaxis"] |= _make_axis(space[0])
    layout["yaxis"]["range"] = _find_range(search, kept)
    layout["updatemenus"] = make_menu(
        [
            {
                "label": html.escape(p.name),
                "method": "update",
                "args": [
                    {"x": [_list_values(space, p, trials) for trials in groups.values()]},
                    {f"xaxis.{key}": value for key, value in _make_axis(p).items()}
                    | {"xaxis.title.text": html.escape(p.name), "xaxis.autorange": True},
                ],
            }
            for p in space
        ]
    )
    return {"data": data, "layout": layout}


def _list_values(
    space: Sequence[Parameter], p: Parameter, trials: Sequence[TrialRecord]
) -> list[Any]:
    values = [find_any_value(tuple(space), p, trial) for trial in trials]
    if not p.choices:
        return values
    return [None if v is None else html.escape(format_value(v)) for v in values]


def _make_axis(p: Parameter) -> dict[str, Any]:
    if p.choices:
        names = [html.escape(format_value(choice)) for choice in p.choices]
        return {"type": "category", "categoryorder": "array", "categoryarray": names}
    return {"type": "log" if p.log else "linear", "categoryorder": "trace", "categoryarray": None}


def _find_range(search: Search, trials: Sequence[TrialRecord]) -> tuple[float, float]:
    ended = [t for t in trials if t.outcome == "complete"] or trials
    low, high = find_score_limits([t.metrics["score"] for t in ended], search.mode)
    return low, min(high, 1.0) if is_share(search.metric) else high
