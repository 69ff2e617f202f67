"""The comparison as a chart of an HTML report: means, single runs and published results."""

import html
from collections.abc import Sequence
from typing import Any

from reports.chapters.comparison.figure import (
    DOTS,
    LOG_FROM,
    find_mark,
    find_numbers,
    keep_same_unit,
)
from reports.chapters.comparison.groups import Group, name_group, sort_by_values
from reports.chapters.comparison.published import Column
from reports.numbers.statistics import Interval
from reports.records import Search
from reports.write.charts import Chart, describe_trial, make_layout
from reports.write.intervals import format_interval
from reports.write.labels import to_label
from reports.write.style import BLUE, RED, to_words
from reports.write.tables import format_score

LABEL = 40  # characters of a name


def make_chart(
    search: Search,
    found: Sequence[Group],
    repeated: bool,
    theirs: Column | None,
    n: int | None,
) -> Chart:
    """Return the same marks as `draw_comparison`, scores along the same axis."""
    order = sort_by_values(found)
    theirs = keep_same_unit(search, theirs)
    numbers = find_numbers(search, order)
    places = numbers or list(range(len(order)))
    own = [(at, g, find_mark(g, repeated, n)) for at, g in zip(places, order, strict=True)]
    own = [point for point in own if point[1].trials]
    single = [
        (at, trial)
        for at, group, _ in own
        for trial in (*group.trials[: DOTS - 1], *group.trials[DOTS - 1 :][-1:])
        if any(len(g.trials) > 1 for g in order)
    ]
    published = [
        (at, value, group)
        for at, group in zip(places, order, strict=True)
        for value in (theirs.values.get(group.values, ()) if theirs else ())
    ]
    lying = numbers is None
    score, place = ("x", "y") if lying else ("y", "x")
    traces: list[dict[str, Any]] = [
        {
            "name": "single runs",
            "marker": {"color": "#777777", "size": 6},
            place: [at for at, _ in single],
            score: [trial.metrics["score"] for _, trial in single],
            "text": [describe_trial(search, trial) for _, trial in single],
        },
        {
            "name": "ours" if theirs else "mean" if repeated else "best",
            "marker": {"color": BLUE, "size": 10},
            place: [at for at, *_ in own],
            score: [mark.value for *_, mark in own],
            f"error_{score}": _make_bars([mark for *_, mark in own]),
            "text": [_describe(search, group, mark) for _, group, mark in own],
        },
        {
            "name": html.escape(f"published ({theirs.name})") if theirs else "",
            "marker": {"color": RED, "size": 9, "symbol": "diamond-open"},
            place: [at for at, *_ in published],
            score: [value for _, value, _ in published],
            "text": [
                f"{html.escape(name_group(search, group))}: "
                f"{format_score(value, theirs.metric if theirs else '')}, published"
                for _, value, group in published
            ],
        },
    ]
    data = [{"type": "scatter", "mode": "markers", "hoverinfo": "text", **t} for t in traces]
    layout = make_layout(search, to_words(", ".join(search.compare)), search.metric)
    if lying:
        layout["xaxis"], layout["yaxis"] = layout["yaxis"], {"automargin": True}
        names = [html.escape(to_label(name_group(search, group), LABEL)) for group in order]
        layout["yaxis"] |= {"tickvals": places, "ticktext": names, "autorange": "reversed"}
        layout["yaxis"]["zeroline"] = False
    elif min(places) > 0 and max(places) / min(places) >= LOG_FROM:
        layout["xaxis"]["type"] = "log"
    return {"data": [trace for trace in data if trace["text"]], "layout": layout}


def _make_bars(marks: Sequence[Interval]) -> dict[str, Any]:
    ends = [(m.high - m.value, m.value - m.low) if m.is_known else (0.0, 0.0) for m in marks]
    bars = {"array": [up for up, _ in ends], "arrayminus": [down for _, down in ends]}
    return {"type": "data", "symmetric": False, **bars}


def _describe(search: Search, group: Group, mark: Interval) -> str:
    text = format_interval(mark, search.metric)
    runs = f"{len(group.trials)} of {len(group.tried)} runs complete"
    return "<br>".join(map(html.escape, (name_group(search, group), text, runs)))
