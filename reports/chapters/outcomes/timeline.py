"""When each trial ran on which device, so that idle devices and long trials are visible."""

import html
import json
from collections import defaultdict
from dataclasses import dataclass

from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from reports.records import Search, TrialRecord
from reports.write.charts import PLOTTED, Chart, describe_trial, make_layout
from reports.write.labels import to_label
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.style import OUTCOME_COLOURS, RASTERIZE_FROM, create_figure, figure_style
from reports.write.tables import format_count, join_words
from trainables.durations import format_duration

UNITS = (  # shortest span in seconds, seconds per unit, name
    (3 * 86400, 86400, "days"),
    (3 * 3600, 3600, "hours"),
    (180, 60, "minutes"),
    (0, 1, "seconds"),
)
LANES_SHOWN = 64
NAMED = 10  # trials in a sentence
LABELLED = 60  # at most so many spans have numbers, which else would overlap


@dataclass(frozen=True)
class Span:
    """An attempt of a trial: start and end in seconds since 1970, and its device."""

    start: float
    end: float
    device: str
    trial: TrialRecord


def write_section(search: Search) -> Section | None:
    """Return the figure and how many trials ran at once; None if no times are recorded."""
    spans, damaged = read_spans(search)
    lost = ""
    if damaged:
        numbers = join_words([trial.label for trial in damaged[:NAMED]])
        lost = f"The records of when {format_count(len(damaged), 'trial')} ran are damaged"
        lost += f" ({numbers}{' and others' if len(damaged) > NAMED else ''})."
    if not spans:
        return Section(lost, unreadable=lost) if lost else None
    placed = assign_rows(spans)
    devices = list(dict.fromkeys(device for device, _ in placed))
    start, end = min(s.start for s in spans), max(s.end for s in spans)
    busy = sum(s.end - s.start for s in spans)
    at_once = busy / (end - start) if end > start else 1.0
    text = (
        f"{embed_figure('timeline', 'Trials on devices over time')}\n\n"
        f"One bar per attempt, {format_count(len(spans), 'attempt')} on "
        f"{format_count(len(devices), 'device')}; a device that ran several trials at the same "
        "time has several rows. Between the first start and the last end "
        f"{at_once:.3g} attempts ran at the same time on average."
    )
    if len(placed) > LANES_SHOWN:
        text += f" The first {LANES_SHOWN} of {len(placed)} rows are drawn."
    return Section(
        join_paragraphs(text, lost),
        {"timeline": draw_timeline(search, placed, start, end)},
        charts={"timeline": make_chart(search, placed, start)} if len(spans) <= PLOTTED else {},
        unreadable=lost,
    )


def read_spans(search: Search) -> tuple[list[Span], list[TrialRecord]]:
    """Return all attempts in the order of their starts, and the trials with damaged records."""
    spans, damaged = [], []
    for trial in search.trials:
        try:
            for start, end, device in json.loads(trial.tags.get("spans", "[]")):
                spans.append(Span(float(start), max(float(start), float(end)), str(device), trial))
        except (ValueError, TypeError):
            damaged.append(trial)
    return sorted(spans, key=lambda span: (span.start, span.trial.number)), damaged


def assign_rows(spans: list[Span]) -> dict[tuple[str, int], list[Span]]:
    """Return rows without overlap: {(device, row of the device): attempts in order}."""
    by_device: dict[str, list[list[Span]]] = defaultdict(list)
    for span in spans:
        rows = by_device[span.device]
        for row in rows:
            if row[-1].end <= span.start + 1e-6:
                row.append(span)
                break
        else:
            rows.append([span])
    return {
        (device, k): row for device in sorted(by_device) for k, row in enumerate(by_device[device])
    }


def make_chart(search: Search, placed: dict[tuple[str, int], list[Span]], start: float) -> Chart:
    """Return the same bars as `draw_timeline`; each tells its trial."""
    rows = list(placed.items())[:LANES_SHOWN]
    drawn = [(y, span) for y, (_, spans) in enumerate(rows) for span in spans]
    unit, name = find_unit(max(span.end for _, span in drawn) - start)
    data = []
    for outcome, colour in OUTCOME_COLOURS.items():
        bars = [(y, span) for y, span in drawn if span.trial.outcome == outcome]
        data.append(
            {
                **{"type": "bar", "orientation": "h", "name": outcome},
                "marker": {"color": colour, "line": {"color": "#ffffff", "width": 0.5}},
                "y": [y for y, _ in bars],
                "base": [(span.start - start) / unit for _, span in bars],
                "x": [(span.end - span.start) / unit for _, span in bars],
                "text": [_describe(search, span) for _, span in bars],
                **{"textposition": "none", "hovertemplate": "%{text}<extra></extra>"},
            }
        )
    layout = make_layout(search, f"{name} since the start of the first trial", "")
    layout |= {"barmode": "overlay", "bargap": 0.2}
    layout["yaxis"] = {
        "tickvals": list(range(len(rows))),
        "ticktext": [html.escape(to_label(device)) if k == 0 else "" for (device, k), _ in rows],
        **{"autorange": "reversed", "automargin": True, "zeroline": False},
    }
    return {"data": [trace for trace in data if trace["y"]], "layout": layout}


def _describe(search: Search, span: Span) -> str:
    return f"{describe_trial(search, span.trial)}<br>{format_duration(span.end - span.start)}"


def find_unit(seconds: float) -> tuple[int, str]:
    """Return the unit of a time axis of this length: its seconds and its name."""
    return next((size, name) for at_least, size, name in UNITS if seconds >= at_least)


def draw_timeline(
    search: Search, placed: dict[tuple[str, int], list[Span]], start: float, end: float
) -> Figure:
    """Return bars coloured by the outcome of the trial."""
    rows = list(placed.items())[:LANES_SHOWN]
    unit, name = find_unit(end - start)
    drawn = [(y, span) for y, (_, spans) in enumerate(rows) for span in spans]
    with figure_style():
        figure = create_figure(search, 7.6, 1.1 + min(7.0, 0.3 * len(rows)))
        axes = figure.subplots()
        boxes, colours = [], []
        for y, span in drawn:
            x0, x1 = (span.start - start) / unit, (span.end - start) / unit
            boxes.append([(x0, y - 0.4), (x0, y + 0.4), (x1, y + 0.4), (x1, y - 0.4)])
            colours.append(OUTCOME_COLOURS.get(span.trial.outcome, "0.8"))
        axes.add_collection(
            PolyCollection(
                boxes,
                facecolors=colours,
                edgecolors="white",
                linewidths=0.4,
                rasterized=len(boxes) > RASTERIZE_FROM,
            )
        )
        total = (end - start) / unit or 1.0
        for y, span in drawn if len(drawn) <= LABELLED else ():
            if (span.end - span.start) / unit > 0.025 * total:
                dark = span.trial.outcome in ("complete", "failed")
                axes.annotate(
                    f"{span.trial.number}",
                    ((span.start + span.end - 2 * start) / 2 / unit, y),
                    ha="center",
                    va="center",
                    fontsize=7,
                    color="white" if dark else "black",
                )
        axes.set_xlim(0, total)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_yticks(
            range(len(rows)),
            [to_label(device) if k == 0 else "" for (device, k), _ in rows],
            fontsize=8,
        )
        axes.grid(False, axis="y")
        axes.set_xlabel(f"{name} since the start of the first trial")
        there = {span.trial.outcome for _, span in drawn}
        handles = [Patch(color=c, label=o) for o, c in OUTCOME_COLOURS.items() if o in there]
        figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    return figure
