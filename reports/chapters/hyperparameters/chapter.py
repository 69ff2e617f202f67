"""Score against every searched hyperparameter: good values, and whether its range is right."""

from collections.abc import Mapping, Sequence

from reports.chapters.hyperparameters.axis_plots import (
    BINS,
    FEWEST,
    PANELS,
    draw_axis_plots,
)
from reports.chapters.hyperparameters.boundary import Edge, count_near_edges
from reports.chapters.hyperparameters.chart import make_chart
from reports.read.space import Parameter, find_value
from reports.read.winner import LOST, Choice
from reports.records import Search
from reports.write.safe import shorten
from reports.write.sections import Section, embed_figure, join_paragraphs
from reports.write.tables import NAME, Table, format_value, to_markdown

ROWS = 40  # hyperparameters in the table
CHOICES = 12  # choices in a cell
WARNED = 12  # boundary warnings
ALIGN = "llrlrrl"


def write_section(search: Search, choice: Choice, space: tuple[Parameter, ...]) -> Section | None:
    """Return figure, table and warnings; None if no hyperparameter was searched.

    Of a large space, the first hyperparameters are shown, and all are in a table of its own.
    """
    if not space:
        return None
    edges = {p.name: count_near_edges(space, p, choice, search.trials) for p in space}
    lost = any(trial.outcome in LOST for trial in search.trials)
    table = _build_table(search, choice, space, edges, lost)
    shown = Table(table.header, table.rows[:ROWS], table.align)
    drawn = space[:PANELS]
    text = join_paragraphs(
        embed_figure("hyperparameters", "Score against every hyperparameter"),
        _write_warnings(space, edges),
        _write_legend(len(space) - len(drawn)),
        to_markdown(shown),
        _explain_table(space, next(iter(edges.values())).of, lost, len(space) - len(shown.rows)),
    )
    figure = draw_axis_plots(search, choice, drawn, edges)
    whole = {"all_hyperparameters": table} if len(space) > ROWS else {}
    charts = {"hyperparameters": make_chart(search, choice, drawn)}
    return Section(text, {"hyperparameters": figure}, tables=whole, charts=charts)


def _write_legend(not_drawn: int) -> str:
    return (
        "Filled: complete; hollow: stopped; cross: diverged or failed; star: the winner. Beyond a "
        "dashed line the score axis is compressed. Black line: the best complete trial in each of "
        f"{BINS} bins, where {FEWEST} bins have {FEWEST} complete trials."
        + (f" {not_drawn:,} further hyperparameters are not drawn." if not_drawn else "")
    )


def _build_table(
    search: Search,
    choice: Choice,
    space: tuple[Parameter, ...],
    edges: Mapping[str, Edge],
    lost: bool,
) -> Table:
    about = ("hyperparameter", "searched", "winner", "best trials")
    header: tuple[str, ...] = (*about, "near the lower end", "near the upper end")
    rows = [_format_row(space, p, choice, edges[p.name]) for p in space]
    if lost:
        header = (*header, "diverged or failed")
        rows = [(*row, _format_lost(space, p, search)) for row, p in zip(rows, space, strict=True)]
    return Table(header, tuple(rows), ALIGN[: len(header)])


def _explain_table(space: Sequence[Parameter], best: int, lost: bool, left_out: int) -> str:
    text = (
        f"*Best trials*: the values of the {best} best trials. *Near an end*: how many of them "
        "are within 5 % of the range (in log scale for log ranges)."
    )
    if lost:
        text += (
            " *Diverged or failed*: share of the trials in each third of the range, or with each "
            "value."
        )
    if any(not p.declared for p in space):
        text += (
            " The ranges are not recorded and are estimated from the trials, so their ends are "
            "not checked."
        )
    if any(p.varies for p in space):
        text += (
            " *Or more*: the range depends on other hyperparameters. It covers those that are "
            "recorded and all values of the trials, and its ends are not checked."
        )
    if left_out:
        text += (
            f" {left_out:,} further hyperparameters are in `tables/all_hyperparameters.csv` only."
        )
    return text


def _write_warnings(space: Sequence[Parameter], edges: Mapping[str, Edge]) -> str | None:
    warnings = [f"- {edge.warning}" for edge in edges.values() if edge.warning]
    more = len(warnings) - WARNED
    if more > 0:
        warnings = [*warnings[:WARNED], f"- {more:,} further hyperparameters."]
    if warnings:
        return (
            "**Boundary warnings**: the best values may be outside of the searched range.\n\n"
            + "\n".join(warnings)
        )
    if any(not p.is_checked for p in space):
        return None
    return (
        "No boundary warning: the best trials are not near the end of a range significantly more "
        "often than all trials (Fisher's exact test, corrected for all ends)."
    )


def _format_row(
    space: tuple[Parameter, ...], p: Parameter, choice: Choice, edge: Edge
) -> tuple[str, ...]:
    best, name = find_value(space, p, choice.winner), shorten(p.name, NAME)
    if p.choices:
        winner = "" if best is None else format_value(best)
        return name, _list_choices(p.choices), winner, edge.span, "", ""
    winner = "" if best is None else f"{best:.3g}"
    scale = ", log" if p.log else f", step {p.step:g}" if p.step and p.step != 1 else ""
    more = ", or more" if p.varies else ""
    ends = (f"{edge.at_low}", f"{edge.at_high}") if p.is_checked else ("", "")
    return name, f"{p.low:g} to {p.high:g}{scale}{more}", winner, edge.span, *ends


def _list_choices(choices: Sequence[str]) -> str:
    shown = [format_value(choice) for choice in choices[:CHOICES]]
    more = len(choices) - CHOICES
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def _format_lost(space: tuple[Parameter, ...], p: Parameter, search: Search) -> str:
    cells: dict[str, list[bool]] = {}
    thirds = ("low", "middle", "high")
    for trial in search.trials:
        v = find_value(space, p, trial)
        if v is not None:
            name = v if p.choices else thirds[min(2, int(p.find_position(v) * 3))]
            cells.setdefault(name, []).append(trial.outcome in LOST)
    shares = {
        name: sum(cells[name]) / len(cells[name]) for name in p.choices or thirds if name in cells
    }
    worst = sorted(shares, key=lambda name: -shares[name])[:CHOICES]
    more = f" and {len(shares) - CHOICES:,} more" if len(shares) > CHOICES else ""
    named = [
        f"{format_value(name)}: {shares[name] * 100:.0f} %" for name in shares if name in worst
    ]
    return ", ".join(named) + more if len(shares) > 1 else ""
