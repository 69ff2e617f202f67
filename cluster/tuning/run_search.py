"""One search: open it, run its trials, print its summary."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import Any

from rich.console import Console

from cluster.execution.executor import Executor, prepare_executor
from cluster.ledger.files import RERUNS
from cluster.ledger.ledger import Ledger, attach_ledger
from cluster.options import Options
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.tuning.arm_reruns import has_reruns_left, make_arms_table, plan_arm_reruns
from cluster.tuning.confirm import list_reruns
from cluster.tuning.open_search import OpenedSearch, create_search, open_search
from cluster.tuning.run_trials import SearchEnd, TrialsJob, run_trials
from cluster.tuning.summary import (
    list_next_commands,
    print_failures,
    print_header,
    print_summary,
)
from searchspaces.source import read_sources
from searchspaces.space import SearchSpace
from trainables.run import Run


def run_search(space: SearchSpace[Any], run: Run, options: Options, console: Console) -> SearchEnd:
    """Run a new search, or continue one."""
    search = open_search(space, run, options)
    settings, ledger = search.settings, search.ledger
    print_header(space, settings, ledger, console)
    # A machine that cannot run the search is found out before the search has a folder.
    needed = ledger is None or not ledger.finished or has_reruns_left(ledger, space)
    executor = prepare_executor(space, search.run, settings.fixed, options, console)
    started = time.monotonic()
    try:
        with executor if needed else contextlib.nullcontext() as prepared:
            if ledger is None:
                ledger = create_search(
                    options.storage.folder,
                    settings,
                    search.truth,
                    options.resume_mode,
                    read_sources(space),
                )
                if options.resume_mode == "resume":
                    note = f"no search to resume: starting {ledger.folder}"
                    console.print(note, highlight=False, markup=False, soft_wrap=True)
            planned = plan_initial_trials(space, settings.fixed, settings.seeds)
            job = TrialsJob(space, search.run, options, ledger, search.client, planned, prepared)
            outcome = run_trials(job, console)
            if options.time_budget:
                left = max(1.0, options.time_budget - (time.monotonic() - started))
                options = replace(options, time_budget=left)
            again = run_arms_again(space, search, options, ledger, prepared, console)
        following = list_next_commands(ledger, options.storage, outcome.experiment)
        print_summary(space, ledger, outcome.infeasible, following, console)
        return SearchEnd(ledger.folder, outcome.exit_code(console) or again)
    finally:
        if ledger is not None:
            ledger.close()


def run_arms_again(
    space: SearchSpace[Any],
    search: OpenedSearch,
    options: Options,
    ledger: Ledger,
    executor: Executor | None,
    console: Console,
) -> int:
    """Run the best of each arm on new seeds where arms are tuned, and return the exit code."""
    settings = plan_arm_reruns(ledger, space)
    if settings is None:
        return 0
    reruns = attach_ledger(ledger.folder / RERUNS, settings)
    try:
        planned = list_reruns(settings)
        job = TrialsJob(space, search.run, options, reruns, search.client, planned, executor)
        outcome = run_trials(job, console)
        console.print()
        console.print(make_arms_table(reruns, ledger))
        print_failures(space, reruns, console)
        return outcome.exit_code(console)
    finally:
        reruns.close()
