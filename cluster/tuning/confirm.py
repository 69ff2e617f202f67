"""Run the best configurations and the default again, at full budget on new seeds.

The best score of a search is the best of many, and so optimistically biased; the re-runs are
not. They are a ledger of their own inside the search's folder, and child runs of its parent run.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.execution.executor import prepare_executor
from cluster.ledger import ledger as ledgers
from cluster.ledger.files import RERUNS
from cluster.ledger.ledger import Ledger
from cluster.ledger.newest import check_no_copy, check_not_renamed, find_newest
from cluster.ledger.settings import FILE, SearchSettings, read_settings
from cluster.ledger.trial_log import TrialLog
from cluster.options import Options
from cluster.sampling.initial_trials import InitialTrial
from cluster.sampling.ranges import format_number
from cluster.storage.ledger_backup import restore_ledger
from cluster.tuning.open_search import (
    check_same_data,
    check_writable,
    use_teacher,
)
from cluster.tuning.run_trials import SearchEnd, TrialsJob, TrialsResult, run_trials
from cluster.tuning.same_space import check_same_space
from cluster.tuning.summary import list_next_commands, print_failures
from cluster.tuning.tracking_server import open_server
from searchspaces.calls import prepare_data
from searchspaces.overrides import build_config, is_default
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.ground_truth import expect_predictions
from trainables.ranking import find_worst
from trainables.run import Run

FIRST_SEED = 1001
SEEDS = 5


def confirm(space: SearchSpace[Any], run: Run, options: Options, console: Console) -> SearchEnd:
    """Confirm the newest search of a space, or continue that."""
    storage = options.storage
    check_writable(storage.folder)
    if storage.remote:
        restore_ledger(storage, space.name, take_over=True)
    folder = find_newest(storage.folder, space.name)
    if folder is None:
        check_not_renamed(storage.folder, space.name)
        raise UserError(f"there is no search of {space.name} in {storage.folder} to confirm")
    check_no_copy(folder)
    search = ledgers.reopen_ledger(folder)
    try:
        search.settings = check_same_space(folder, search.settings, space, options.changed_code)
        reruns = list(plan_reruns(search, space, options.confirm or 1, options.seeds or SEEDS))
        settings = make_settings(search, folder / RERUNS, reruns)
        outcome = _run_reruns(space, run, options, console, search, settings)
        return SearchEnd(folder, outcome.exit_code(console))
    finally:
        search.close()


def _run_reruns(
    space: SearchSpace[Any],
    run: Run,
    options: Options,
    console: Console,
    search: Ledger,
    settings: SearchSettings,
) -> TrialsResult:
    storage, folder = options.storage, search.folder / RERUNS
    client, recorded = open_server(storage, search)
    settings = replace(settings, tracking_uri=recorded)
    settings, run = use_teacher(settings, replace(run, reports=settings.reports), options)
    truth = prepare_data(space, build_config(space, settings.fixed), run)
    check_same_data(search, truth)
    run = replace(run, expected=expect_predictions(truth))
    trials = sorted({tags["of"] for _, tags in settings.reruns}, key=int)
    console.print(
        f"[bold]{escape(space.name)}[/]: running trials {', '.join(trials)} again on new seeds, "
        f"{len(settings.reruns)} runs",
        highlight=False,
    )
    needed = not Ledger(folder, settings, search.lock).finished
    executor = prepare_executor(space, run, settings.fixed, options, console)
    ledger = None
    try:
        with executor if needed else contextlib.nullcontext() as prepared:
            ledger = ledgers.attach_ledger(folder, settings)
            ledger.notes += search.notes
            job = TrialsJob(space, run, options, ledger, client, list_reruns(settings), prepared)
            outcome = run_trials(job, console)
        console.print(make_reruns_table(ledger, search))
        print_failures(space, ledger, console)
        following = list_next_commands(search, storage, outcome.experiment)
        console.print(following, highlight=False, markup=False, soft_wrap=True)
        return outcome
    finally:
        if ledger is not None:
            ledger.close()


def plan_reruns(
    search: Ledger, space: SearchSpace[Any], best: int, seeds: int
) -> Iterator[InitialTrial]:
    """Yield one run per configuration and new seed, the seeds in the outer loop.

    Raises UserError where no trial is complete, or where configurations have no seed.
    """
    ranked = search.rank_trials(search.trial_logs.values())
    complete = [trial_log for trial_log in ranked if trial_log.outcome == "complete"]
    if not complete:
        raise UserError(
            f"no trial of {search.folder} is complete: there is nothing to confirm\n"
            "continue the search with --resume"
        )
    if "seed" not in complete[0].config:
        raise UserError(
            f"{space.name} cannot be confirmed: its Config has no field `seed`\n"
            "add one that the training uses"
        )
    chosen: dict[int, TrialLog] = {log.trial: log for log in complete[:best]}
    if (default := find_default(search, space)) is not None:
        chosen.setdefault(default.trial, default)
    yield from repeat_on_new_seeds(search, space, chosen.values(), seeds)


def repeat_on_new_seeds(
    search: Ledger, space: SearchSpace[Any], chosen: Iterable[TrialLog], seeds: int
) -> Iterator[InitialTrial]:
    """Yield one run per chosen trial and new seed, the seeds in the outer loop."""
    chosen = list(chosen)
    used = {trial_log.config["seed"] for trial_log in search.trial_logs.values()}
    new = (seed for seed in itertools.count(FIRST_SEED) if seed not in used)
    for seed in itertools.islice(new, seeds):
        for trial_log in chosen:
            config = {**trial_log.config, "seed": seed}
            build_config(space, config)  # whatever it rejects is known before anything runs
            yield InitialTrial({}, config, whole=True, tags={"of": str(trial_log.trial)})


def list_reruns(settings: SearchSettings) -> list[InitialTrial]:
    """Return the re-runs of these settings as trials to run."""
    return [InitialTrial({}, config, whole=True, tags=tags) for config, tags in settings.reruns]


def find_default(search: Ledger, space: SearchSpace[Any]) -> TrialLog | None:
    """Return the first trial of the default configuration; None where no trial is that."""
    fixed = search.settings.fixed
    logs = (log for _, log in sorted(search.trial_logs.items()))
    return next((log for log in logs if is_default(space, fixed, log.config)), None)


def make_reruns_table(ledger: Ledger, search: Ledger) -> Table:
    """Return a table of each configuration's mean over seeds beside its search score."""
    scores: dict[int, list[float]] = defaultdict(list)
    lost: set[int] = set()
    for trial_log in ledger.trial_logs.values():
        if trial_log.outcome == "complete" and (best := ledger.best_report(trial_log)):
            scores[int(trial_log.tags["of"])].append(best[0])
        elif trial_log.outcome in ("diverged", "failed"):  # the worst score, as in the report
            scores[int(trial_log.tags["of"])].append(find_worst_score(search, ledger))
            lost.add(int(trial_log.tags["of"]))
    table = Table(title=f"{escape(ledger.metric)} on new seeds", title_justify="left", box=None)
    for column in ("trial", "search score", "mean on new seeds", "standard deviation", "n"):
        table.add_column(column, justify="right")
    order = sorted(scores, key=lambda trial: mean(scores[trial]), reverse=ledger.mode == "max")
    for trial in order:
        best, again = search.best_report(search.trial_logs[trial]), scores[trial]
        known = len(again) > 1 and trial not in lost
        spread = format_number(stdev(again)) if known else ""
        searched = format_number(best[0]) if best else ""
        table.add_row(
            f"{trial:03d}", searched, format_number(mean(again)), spread, str(len(again))
        )
    return table


def find_worst_score(search: Ledger, reruns: Ledger) -> float:
    """Return the worst score of all trials and re-runs, NaN where none has one."""
    logs = (*search.trial_logs.values(), *reruns.trial_logs.values())
    best = (log.find_best_report(search.metric, search.mode) for log in logs)
    return find_worst((found[0] if found else None for found in best), search.mode)


def make_settings(search: Ledger, folder: Path, reruns: list[InitialTrial]) -> SearchSettings:
    """Return the settings of the re-runs of a search, those in the folder included."""
    # Earlier confirmations of this search, of other configurations, stay and are continued.
    old = read_settings(folder).reruns if (folder / FILE).exists() else ()
    new = [(dict(rerun.fixed), dict(rerun.tags)) for rerun in reruns]
    every = (*old, *(entry for entry in new if entry not in old))
    return replace(
        search.settings,
        name=f"{search.folder.name}-confirm",
        kind="confirmation",
        trials=len(every),
        reruns=every,
        sampler="grid",  # a list, and nothing sampled beyond it
        scheduler="none",
        control=0,
        tune_arms=0,
        arms=(),
    )
