"""Run the best configuration of each arm that was tuned again, on new seeds at full length.

They are re-runs as those of `--confirm`, in the same ledger, and belong to the search itself: it
has not ended before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import mean, stdev
from typing import Any

from rich.markup import escape
from rich.table import Table

from cluster.ledger.files import RERUNS
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.arms import list_arms
from cluster.sampling.ranges import format_number
from cluster.tuning.confirm import make_settings, repeat_on_new_seeds
from searchspaces.json_text import Json
from searchspaces.space import SearchSpace


def find_best_of_arms(search: Ledger) -> dict[int, TrialLog]:
    """Return the best complete trial of each arm that has one, by the arm's number."""
    ranked = search.rank_trials(search.trial_logs.values())
    best: dict[int, TrialLog] = {}
    for trial_log in ranked:
        if trial_log.outcome == "complete":
            best.setdefault(int(trial_log.tags["arm"]), trial_log)
    return dict(sorted(best.items()))


def plan_arm_reruns(search: Ledger, space: SearchSpace[Any]) -> SearchSettings | None:
    """Return the settings of the re-runs of an ended search; None where none are to run."""
    best = find_best_of_arms(search) if search.settings.tune_arms else {}
    if not search.finished or not best:
        return None
    reruns = repeat_on_new_seeds(search, space, best.values(), search.settings.seeds)
    return make_settings(search, search.folder / RERUNS, list(reruns))


def has_reruns_left(search: Ledger, space: SearchSpace[Any]) -> bool:
    """Return whether re-runs of an ended search have no outcome yet."""
    settings = plan_arm_reruns(search, space)
    return (
        settings is not None and not Ledger(search.folder / RERUNS, settings, search.lock).finished
    )


def make_arms_table(reruns: Ledger, search: Ledger) -> Table:
    """Return a table of the arms: the best trial of each, and its mean over new seeds."""
    scores: dict[int, list[float]] = {}
    for trial_log in reruns.trial_logs.values():
        if trial_log.outcome == "complete" and (score := reruns.best_report(trial_log)):
            scores.setdefault(int(trial_log.tags["of"]), []).append(score[0])
    title = f"{escape(search.metric)} of the best configuration of each arm, on new seeds"
    table = Table(title=title, title_justify="left", box=None)
    for column in ("arm", "trials", "best trial", "mean", "standard deviation", "n"):
        table.add_column(column, justify="left" if column == "arm" else "right")
    best = find_best_of_arms(search)
    for arm in list_arms(search.settings):
        tried = sum(arm.has_trial(trial) for trial in search.trial_logs)
        found = best.get(arm.number)
        again = scores.get(found.trial, []) if found else []
        table.add_row(
            escape(name_arm(arm.fixed)),
            str(tried),
            f"{found.trial:03d}" if found else "none complete",
            format_number(mean(again)) if again else "",
            format_number(stdev(again)) if len(again) > 1 else "",
            str(len(again)),
        )
    return table


def name_arm(fixed: Mapping[str, Json]) -> str:
    """Return `optimizer=sgd, batch_norm=True`."""
    return ", ".join(f"{name}={format_number(value)}" for name, value in fixed.items())
