"""Runs the best configurations and the default again, at full budget on fresh seeds.

The best score of a search is the best of many, and so flattered; the re-runs are not. They are
a ledger of their own inside the search's folder, and child runs of the same parent.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.table import Table

from cluster.execution import prepare_cluster
from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.options import Options
from cluster.sampling.initial_trials import InitialTrial
from cluster.storage import ledger_backup
from cluster.tracking.client import open_client
from cluster.tuning import open_search, run_search, summary
from cluster.tuning.progress import format_number
from cluster.tuning.run_trials import TrialsJob, run_trials
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.run import Run

FOLDER = "confirm"
FIRST_SEED = 1001
SEEDS = 5


def confirm(
    space: SearchSpace[Any],
    run: Run,
    chosen: Options,
    storage: Path,
    console: Console,
    best: int,
) -> int:
    """Confirm the newest search of a space, or go on confirming it; gives the exit code."""
    open_search.check_storage(storage)
    if chosen.remote:
        ledger_backup.restore_ledger(storage, chosen.remote, space.name)
    folder = ledgers.find_newest(storage, space.name)
    if folder is None:
        raise UserError(f"there is no search of {space.name} in {storage} to confirm")
    found = ledgers.reopen_ledger(folder)
    ledger = None
    try:
        settings = found.settings
        run.reports = settings["reports"]
        client = open_client(chosen.tracking_uri or settings["tracking_uri"])
        run_search.fetch_teacher(run, settings, chosen)
        run_search.check_same_data(found, run_search.prepare_data(space, settings["fixed"], run))
        points = list(plan_reruns(found, space, best, chosen.seeds or SEEDS))
        new = _settings(found, folder / FOLDER, points)
        every = [InitialTrial({}, fixed, tags) for fixed, tags in new["points"]]
        picked = sorted({point.tags["of"] for point in points}, key=int)
        console.print(
            f"[bold]{space.name}[/]: trials {', '.join(picked)} again on fresh seeds, "
            f"{len(points)} runs",
            highlight=False,
        )
        remote = chosen.remote / folder.name / FOLDER if chosen.remote else None
        needed = not Ledger(folder / FOLDER, new, found.lock).finished  # a look, and no more
        machine = prepare_cluster.prepare_cluster(
            space, run, chosen, settings["fixed"], storage, console
        )
        with machine if needed else contextlib.nullcontext() as ready:
            ledger = ledgers.attach_ledger(folder / FOLDER, new)
            what = TrialsJob(space, run, chosen, console, ledger, client, every, ready, remote)
            done = run_trials(what)
        console.print(reruns_table(ledger, found))
        summary.print_failures(space, ledger, console)
        following = summary.next_commands(found, storage)
        console.print(following, highlight=False, soft_wrap=True)
        return done.exit_code(console, chosen.resume_mode)
    finally:
        if ledger is not None:
            ledger.close()
        found.close()


def plan_reruns(
    found: Ledger, space: SearchSpace[Any], best: int, seeds: int
) -> Iterator[InitialTrial]:
    """Give a point per configuration and fresh seed, the seeds in the outer loop.

    Raises UserError where no trial is complete, or where a configuration has no seed.
    """
    complete = [s for s in found.rank_trials(found.trial_logs.values()) if s.outcome == "complete"]
    if not complete:
        raise UserError(f"no trial of {found.folder} is complete: there is nothing to confirm")
    if "seed" not in complete[0].config:
        raise UserError(f"{space.name} has no seed to run a configuration again on")
    picked: dict[int, TrialLog] = {trial_log.trial: trial_log for trial_log in complete[:best]}
    if 0 in found.trial_logs:
        picked.setdefault(0, found.trial_logs[0])
    used = {trial_log.config["seed"] for trial_log in found.trial_logs.values()}
    fresh = (seed for seed in itertools.count(FIRST_SEED) if seed not in used)
    for seed in itertools.islice(fresh, seeds):
        for trial, trial_log in picked.items():
            yield InitialTrial({}, {**trial_log.config, "seed": seed}, {"of": str(trial)})


def reruns_table(ledger: Ledger, found: Ledger) -> Table:
    """Show each configuration's mean over seeds beside its search score."""
    scores: dict[int, list[float]] = defaultdict(list)
    for trial_log in ledger.trial_logs.values():
        if trial_log.outcome == "complete" and (best := ledger.best_report(trial_log)):
            scores[int(trial_log.tags["of"])].append(best[0])
    shown = Table(title=f"{ledger.metric} again", title_justify="left", box=None)
    for column in ("trial", "search score", "mean on fresh seeds", "standard deviation", "n"):
        shown.add_column(column, justify="right")
    order = sorted(scores, key=lambda trial: mean(scores[trial]), reverse=ledger.mode == "max")
    for trial in order:
        own, again = found.best_report(found.trial_logs[trial]), scores[trial]
        spread = format_number(stdev(again)) if len(again) > 1 else ""
        searched = format_number(own[0]) if own else ""
        shown.add_row(
            f"{trial:03d}", searched, format_number(mean(again)), spread, str(len(again))
        )
    return shown


def _settings(found: Ledger, folder: Path, points: list[InitialTrial]) -> dict[str, Any]:
    # Earlier confirmations of this search, of other configurations, stay and are gone on with.
    old = ledgers.read_settings(folder)["points"] if (folder / "search.json").exists() else []
    new = [[dict(point.fixed), dict(point.tags)] for point in points]
    every = [*old, *(entry for entry in new if entry not in old)]
    return {
        **found.settings,
        "name": f"{found.folder.name}-confirm",
        "kind": "confirmation",
        "trials": len(every),
        "points": every,
        "sampler": "grid",  # a list, and nothing drawn beyond it
        "scheduler": "none",
        "control": 0,
    }
