"""`python -m reports compare A B ...`: compare searches of one space by their best so far.

Finished searches that differ only in their seed are repeats of each other. Only repeats can
separate a better sampler from chance.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.cli import make_out_folder, run_action
from reports.numbers.statistics import mean_interval
from reports.read.records import Tracker, read_named_search
from reports.read.winner import find_candidates
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.labels import choose_fonts, collect_replaced, describe_replaced, to_label
from reports.write.safe import escape_markdown, format_code
from reports.write.sections import join_paragraphs
from reports.write.style import create_figure, figure_style, save_figure
from reports.write.tables import Table, drop_empty_columns, join_words, to_markdown
from trainables.errors import UnreadableError, UserError
from trainables.terminal import print_text

SETTINGS = ("sampler", "scheduler", "trials", "reports")
"""Tags that repeats of a search have in common, besides the hyperparameters that are fixed."""


@dataclass(frozen=True)
class BestSoFar:
    """The optimization history of a search: per trial the device seconds and the best score."""

    search: Search
    seconds: NDArray[np.float64]
    best: NDArray[np.float64]

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the values that repeats of this search share."""
        tags = self.search.tags
        fixed = dict(sorted(_fixed(self.search).items()))
        fixed.pop("seed", None)  # repeats differ in it
        return (*(tags.get(name, "") for name in SETTINGS), json.dumps(fixed))

    @property
    def seed(self) -> str:
        """Return the seeds in which repeats of this search differ."""
        return f"{self.search.tags.get('seed', '')} {_fixed(self.search).get('seed', '')}".strip()


def run(options: argparse.Namespace) -> int:
    """Do what the options ask for; return the exit code of `reports.cli.run_action`."""

    def compare(tracker: Tracker) -> None:
        searches = read_searches(tracker, options.names)
        histories = [trace_best(search) for search in searches if has_score(search)]
        empty = [search.name for search in searches if not has_score(search)]
        if not histories:
            raise UserError(
                f"No trial of {join_words(empty)} has a score: there is nothing to compare.\n"
                "Run them first: the same commands with --resume continue."
            )
        out = Path(options.out)
        make_out_folder(out)
        choose_fonts([*(search.name for search in searches), searches[0].metric])
        with collect_replaced() as replaced:
            save_figure(draw_best(histories), out / "figures", "compare")
        text = join_paragraphs(write_comparison(histories, empty), describe_replaced(replaced))
        (out / "compare.md").write_text(text, encoding="utf-8")
        print_text(to_markdown(build_table(histories)))
        if empty:
            print_text(f"\n{_left_out(empty)}")
        print_text(f"\ncomparison: {out / 'compare.md'}")

    return run_action(options, compare)


def read_searches(tracker: Tracker, names: Sequence[str]) -> list[Search]:
    """Return the searches; raise UserError unless space, metric and data are the same."""
    searches = [read_named_search(tracker, name) for name in dict.fromkeys(names)]
    if len(searches) < 2:
        raise UserError("A comparison needs two or more searches: compare digits digits-2")
    for what, values in {
        "spaces": [search.space for search in searches],
        "metrics": [f"{search.metric} ({search.mode})" for search in searches],
        "data": [search.tags.get("data_fingerprint", "") for search in searches],
    }.items():
        if len(set(values)) > 1:
            listed = ", ".join(f"{s.name}: {v}" for s, v in zip(searches, values, strict=True))
            raise UserError(f"Searches with different {what} cannot be compared: {listed}")
    return searches


def has_score(search: Search) -> bool:
    """Return whether a search has a trial that may win."""
    return bool(find_candidates(search))


def trace_best(search: Search) -> BestSoFar:
    """Return the best score so far after each trial, in the order of their numbers.

    Candidates for the winner alone count; any other trial adds its time. Before the first
    candidate the best is nan.
    """
    better = np.fmax if search.mode == "max" else np.fmin
    candidates = set(find_candidates(search))
    scores = [t.metrics["score"] if t in candidates else np.nan for t in search.trials]
    seconds = [trial.metrics.get("device_seconds", 0.0) for trial in search.trials]
    best = better.accumulate(np.array(scores, dtype=float)) if scores else np.empty(0)
    return BestSoFar(search, np.cumsum(seconds), best)


def compute_area(history: BestSoFar, budget: float) -> float:
    """Return the area under the best so far over a budget of device seconds.

    It begins at the first score and is divided by its width, so that its unit is the score's.
    """
    known = np.isfinite(history.best)
    times, best = history.seconds[known], history.best[known]
    if not len(times) or times[0] >= budget:
        return float(best[0]) if len(best) else float("nan")
    inside = times < budget
    ends = np.append(times[inside][1:], budget)
    return float(np.average(best[inside], weights=ends - times[inside]))


def build_table(histories: Sequence[BestSoFar]) -> Table:
    """Return a table with one row per group of repeats; scores have 95 % intervals."""
    metric = histories[0].search.metric
    budget = min(history.seconds[-1] if len(history.seconds) else 0.0 for history in histories)
    rows = []
    for repeats, note in group_repeats(histories):
        first = repeats[0].search.tags
        finals = [entry.best[-1] if len(entry.best) else np.nan for entry in repeats]
        areas = [compute_area(entry, budget) for entry in repeats]
        hours = np.mean([entry.seconds[-1] if len(entry.seconds) else 0.0 for entry in repeats])
        rows.append(
            (
                ", ".join(entry.search.name for entry in repeats),
                first.get("sampler", ""),
                first.get("scheduler", ""),
                f"{first.get('trials', '')} x {first.get('reports', '')}",
                str(len(repeats)),
                _with_interval(finals, metric),
                _with_interval(areas, metric),
                f"{hours / 3600:.3g}",
                note,
            )
        )
    header = ("searches", "sampler", "scheduler", "trials x reports", "n")
    scores = (f"best {metric}", "area under best so far", "device-hours each")
    return drop_empty_columns(
        Table((*header, *scores, "not pooled because"), tuple(rows), "lllrrrrrl")
    )


def group_repeats(histories: Sequence[BestSoFar]) -> list[tuple[list[BestSoFar], str]]:
    """Return groups of repeats; a search that is not a repeat is alone, with the reason."""
    rows: list[tuple[list[BestSoFar], str]] = []
    kinds: dict[tuple[str, ...], list[BestSoFar]] = {}
    for entry in histories:
        twins = kinds.get(entry.settings, [])
        twin = next((other for other in twins if other.seed == entry.seed), None)
        if entry.search.unfinished:
            trials = f"{_ended(entry.search)} of {entry.search.tags.get('trials', '?')} trials"
            rows.append(([entry], f"unfinished ({trials})"))
        elif twin is not None:
            seed = entry.seed or "not recorded"
            rows.append(([entry], f"same seed ({seed}) as {twin.search.name}"))
        elif twins:
            twins.append(entry)
        else:
            kinds[entry.settings] = [entry]
            rows.append((kinds[entry.settings], ""))
    return rows


def write_comparison(histories: Sequence[BestSoFar], empty: Sequence[str] = ()) -> str:
    """Return the comparison in markdown; `empty` are the names of searches without a score."""
    first = histories[0].search
    budget = min(history.seconds[-1] if len(history.seconds) else 0.0 for history in histories)
    rows = group_repeats(histories)
    note = (
        "Intervals are over finished repeats of a search with other seeds (Student's t). The rows "
        "are described and not tested against each other."
        if any(len(repeats) > 1 for repeats, _ in rows)
        else "No search has two finished repeats with different seeds, so **no difference here "
        "can be told from chance**: run each again with other seeds (`--fresh --seed 1`)."
    )
    if empty:
        note += f" {_left_out(empty)}"
    synthetic = "**SYNTHETIC DATA.** " if first.is_synthetic else ""
    return "\n".join(
        [
            f"# {escape_markdown(first.space)}: {len(histories)} searches compared",
            "",
            f"{synthetic}All scores are validation scores ({format_code(first.metric)}, the best "
            f"is the {first.mode}imum); no test score is read.",
            "",
            to_markdown(build_table(histories)),
            "",
            f"The area is the mean of the best so far over the first {budget:.0f} device-seconds, "
            f"the duration of the shortest search. {note}",
            "",
            "![Best so far](figures/compare.png)",
            "",
        ]
    )


def draw_best(histories: Sequence[BestSoFar]) -> Figure:
    """Return a figure of the best so far over device time, one step curve per search."""
    with figure_style():
        drawn = create_figure(histories[0].search, 6.5, 3.8)
        _draw_steps(drawn.subplots(), histories)
    return drawn


def _draw_steps(axes: Axes, histories: Sequence[BestSoFar]) -> None:
    styles = ("-", "--", ":", "-.")
    kinds = list(dict.fromkeys(history.settings for history in histories))
    colors = ("#0072b2", "#c1440e", "#009e73", "#cc79a7", "#e69f00", "0.3")
    for entry in histories:
        kind = kinds.index(entry.settings)
        axes.step(
            entry.seconds,
            entry.best,
            where="post",
            color=colors[kind % len(colors)],
            linestyle=styles[kind % len(styles)],
            label=f"{to_label(entry.search.name)} ({entry.settings[0]}, {entry.settings[1]})",
        )
    axes.set_xlabel("device time, s")
    axes.set_ylabel(f"best {to_label(histories[0].search.metric)} so far")
    axes.legend()


def _ended(search: Search) -> int:
    return sum(t.outcome != "unfinished" and t.reason != "time budget" for t in search.trials)


def _left_out(empty: Sequence[str]) -> str:
    verb = "has" if len(empty) == 1 else "have"
    names = join_words(list(map(escape_markdown, empty)))
    return f"Left out: {names} {verb} no trial with a score."


def _fixed(search: Search) -> dict[str, object]:
    text = search.tags.get("fixed", "")
    try:
        return dict(json.loads(text or "{}"))
    except (TypeError, ValueError) as error:
        raise UnreadableError(
            f"The tag `fixed` of {search.name!r} ({search.run_id}) is damaged: {text[:200]!r}"
        ) from error


def _with_interval(values: Sequence[float], metric: str) -> str:
    return format_interval(mean_interval(values), metric)
