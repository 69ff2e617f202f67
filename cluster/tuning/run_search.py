"""One search: open it, run its trials, print its summary."""

from __future__ import annotations

import contextlib
from typing import Any

from rich.console import Console

from cluster.execution.executor import prepare_executor
from cluster.options import Options
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.tuning.open_search import create_search, open_search
from cluster.tuning.run_trials import SearchEnd, TrialsJob, run_trials
from cluster.tuning.summary import print_header, print_summary
from searchspaces.source import read_sources
from searchspaces.space import SearchSpace
from trainables.run import Run


def run_search(space: SearchSpace[Any], run: Run, options: Options, console: Console) -> SearchEnd:
    """Run a new search, or continue one."""
    search = open_search(space, run, options)
    settings, ledger = search.settings, search.ledger
    print_header(space, settings, ledger, console)
    # A machine that cannot run the search is found out before the search has a folder.
    needed = ledger is None or not ledger.finished
    executor = prepare_executor(space, search.run, settings.fixed, options, console)
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
        print_summary(space, ledger, outcome.infeasible, options.storage, console)
        return SearchEnd(ledger.folder, outcome.exit_code(console))
    finally:
        if ledger is not None:
            ledger.close()
