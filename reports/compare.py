"""`python -m reports compare A B ...`: searches of one space side by side, and which to prefer.

Finished searches that differ in their seed alone are repeats of one another; only repeats can
tell a better sampler from a lucky one.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from reports.cli import add_server_arguments, run_action
from reports.numbers.statistics import mean_interval
from reports.read.records import Tracker, read_named_search
from reports.read.winner import find_candidates
from reports.records import Search
from reports.write.intervals import format_interval
from reports.write.style import create_figure, save_figure
from reports.write.tables import Table, drop_empty_columns, join_words, to_markdown
from trainables.errors import UserError

SETTINGS = ("sampler", "scheduler", "trials", "reports")
"""What two repeats of a search have in common, besides the hyperparameters that are fixed."""


@dataclass(frozen=True)
class BestSoFar:
    """How a search got on: the best score after each trial, and the device seconds up to it."""

    search: Search
    seconds: NDArray[np.float64]
    best: NDArray[np.float64]

    @property
    def settings(self) -> tuple[str, ...]:
        """Give what repeats of this search share."""
        tags = self.search.tags
        fixed = dict(sorted(_fixed(self.search).items()))
        fixed.pop("seed", None)  # it is what repeats differ in
        return (*(tags.get(name, "") for name in SETTINGS), json.dumps(fixed))

    @property
    def seed(self) -> str:
        """Give what repeats of this search differ in."""
        return f"{self.search.tags.get('seed', '')} {_fixed(self.search).get('seed', '')}".strip()


def main(arguments: list[str]) -> int:
    """0 after a comparison, 2 after a message of what to mend."""
    options = _parser().parse_args(arguments)

    def compare(tracker: Tracker) -> None:
        searches = read_searches(tracker, options.names)
        races = [trace_best(search) for search in searches if has_score(search)]
        empty = [search.name for search in searches if not has_score(search)]
        if not races:
            raise UserError(
                f"No trial of {join_words(empty)} has a score: there is nothing to compare.\n"
                "Let them run first: the same commands with --resume go on."
            )
        out = Path(options.out)
        out.mkdir(parents=True, exist_ok=True)
        (out / "compare.md").write_text(write_comparison(races, empty), encoding="utf-8")
        save_figure(draw_best(races), out / "figures", "compare")
        print(to_markdown(build_table(races)))
        if empty:
            print(f"\n{_left_out(empty)}")
        print(f"\ncomparison: {out / 'compare.md'}")

    return run_action(options, compare)


def read_searches(tracker: Tracker, names: Sequence[str]) -> list[Search]:
    """Read the searches; raises UserError unless they ask one question of one set of data."""
    searches = [read_named_search(tracker, name) for name in dict.fromkeys(names)]
    if len(searches) < 2:
        raise UserError("A comparison needs two searches or more: compare digits digits-2")
    for what, values in {
        "spaces": [search.space for search in searches],
        "metrics": [f"{search.metric} ({search.mode})" for search in searches],
        "data": [search.tags.get("data_fingerprint", "") for search in searches],
    }.items():
        if len(set(values)) > 1:
            told = ", ".join(f"{s.name}: {v}" for s, v in zip(searches, values, strict=True))
            raise UserError(f"These searches differ in their {what}, not to be compared: {told}")
    return searches


def has_score(search: Search) -> bool:
    """Whether any of its trials has a score."""
    return bool(find_candidates(search))


def trace_best(search: Search) -> BestSoFar:
    """Follow the best score so far over the trials, in the order of their numbers.

    A trial without a score costs its time and leaves the best as it was; before the first score
    the best is nan.
    """
    better = np.fmax if search.mode == "max" else np.fmin
    candidates = set(find_candidates(search))
    scores = [t.metrics["score"] if t in candidates else np.nan for t in search.trials]
    seconds = [trial.metrics.get("device_seconds", 0.0) for trial in search.trials]
    best = better.accumulate(np.array(scores, dtype=float)) if scores else np.empty(0)
    return BestSoFar(search, np.cumsum(seconds), best)


def compute_area(race: BestSoFar, budget: float) -> float:
    """Give the mean of the best so far over a budget of device seconds, from the first score on.

    The area under the curve divided by its width, so that it reads like a score.
    """
    known = np.isfinite(race.best)
    times, best = race.seconds[known], race.best[known]
    if not len(times) or times[0] >= budget:
        return float(best[0]) if len(best) else float("nan")
    inside = times < budget
    ends = np.append(times[inside][1:], budget)
    return float(np.average(best[inside], weights=ends - times[inside]))


def build_table(races: Sequence[BestSoFar]) -> Table:
    """One row per kind of search, its repeats together; best and area with 95 % intervals."""
    metric = races[0].search.metric
    budget = min(race.seconds[-1] if len(race.seconds) else 0.0 for race in races)
    rows = []
    for repeats, note in group_repeats(races):
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
    return drop_empty_columns(Table((*header, *scores, "alone since"), tuple(rows), "lllrrrrrl"))


def group_repeats(races: Sequence[BestSoFar]) -> list[tuple[list[BestSoFar], str]]:
    """Repeats together; a search that is none stands alone, with the reason."""
    rows: list[tuple[list[BestSoFar], str]] = []
    kinds: dict[tuple[str, ...], list[BestSoFar]] = {}
    for entry in races:
        twins = kinds.get(entry.settings, [])
        twin = next((other for other in twins if other.seed == entry.seed), None)
        if entry.search.unfinished:
            trials = f"{_ended(entry.search)} of {entry.search.tags.get('trials', '?')} trials"
            rows.append(([entry], f"unfinished ({trials})"))
        elif twin is not None:
            seed = entry.seed or "not on record"
            rows.append(([entry], f"same seed ({seed}) as {twin.search.name}"))
        elif twins:
            twins.append(entry)
        else:
            kinds[entry.settings] = [entry]
            rows.append((kinds[entry.settings], ""))
    return rows


def write_comparison(races: Sequence[BestSoFar], empty: Sequence[str] = ()) -> str:
    """Write the comparison in markdown; `empty` are the names of searches without a score."""
    first = races[0].search
    budget = min(race.seconds[-1] if len(race.seconds) else 0.0 for race in races)
    rows = group_repeats(races)
    note = (
        "Intervals are over finished repeats of a search with other seeds (Student's t)."
        if any(len(repeats) > 1 for repeats, _ in rows)
        else "No kind of search has two finished repeats with different seeds, so **no difference "
        "here is more than an anecdote**: run each again with other seeds (`--fresh --seed 1`)."
    )
    if empty:
        note += f" {_left_out(empty)}"
    synthetic = "**SYNTHETIC DATA.** " if first.is_synthetic else ""
    return "\n".join(
        [
            f"# {first.space}: {len(races)} searches compared",
            "",
            f"{synthetic}The scores are validation scores of the searches ({first.metric}, the "
            f"best is the {first.mode}imum); no test score is read.",
            "",
            to_markdown(build_table(races)),
            "",
            f"The area is the mean of the best so far over the first {budget:.0f} device-seconds, "
            f"what the shortest of them took. {note}",
            "",
            "![Best so far](figures/compare.png)",
            "",
        ]
    )


def draw_best(races: Sequence[BestSoFar]) -> Figure:
    """Draw the best so far against device time, a step curve per search."""
    drawn = create_figure(races[0].search, 6.5, 3.8)
    axes = drawn.subplots()
    styles = ("-", "--", ":", "-.")
    kinds = list(dict.fromkeys(race.settings for race in races))
    colours = ("#0072b2", "#c1440e", "#009e73", "#cc79a7", "#e69f00", "0.3")
    for entry in races:
        kind = kinds.index(entry.settings)
        axes.step(
            entry.seconds,
            entry.best,
            where="post",
            color=colours[kind % len(colours)],
            linestyle=styles[kind % len(styles)],
            label=f"{entry.search.name} ({entry.settings[0]}, {entry.settings[1]})",
        )
    axes.set_xlabel("device time, s")
    axes.set_ylabel(f"best {races[0].search.metric} so far")
    axes.legend()
    return drawn


def _ended(search: Search) -> int:
    return sum(t.outcome != "unfinished" and t.reason != "time budget" for t in search.trials)


def _left_out(empty: Sequence[str]) -> str:
    verb = "has" if len(empty) == 1 else "have"
    return f"Left out: {join_words(empty)} {verb} no trial with a score."


def _fixed(search: Search) -> dict[str, object]:
    text = search.tags.get("fixed", "")
    try:
        return dict(json.loads(text or "{}"))
    except (TypeError, ValueError):
        return {"unreadable": text}


def _with_interval(values: Sequence[float], metric: str) -> str:
    return format_interval(mean_interval(values), metric)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reports compare", description=__doc__)
    parser.add_argument("names", nargs="+", help="names of searches, such as digits digits-2")
    parser.add_argument("--out", default="report/compare", help="default: report/compare")
    add_server_arguments(parser)
    return parser
