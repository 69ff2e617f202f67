"""Print the header and the summary of a search."""

from __future__ import annotations

import shlex
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.ledger.files import OUTPUT
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.sampling.ranges import format_number
from cluster.storage.database_file import is_database_file
from cluster.storage.redaction import redact_address
from cluster.storage.storage import Storage, list_storage_options
from cluster.tracking.pages import LOCAL_SERVER, format_experiment_page
from cluster.tuning.progress import describe_failure
from searchspaces.json_text import to_text
from searchspaces.space import SearchSpace
from trainables.durations import format_duration
from trainables.invocation import format_command

SHOWN = 5
OUTPUT_LINES = 10
"""Lines of the output of a failed trial."""


def print_header(
    space: SearchSpace[Any], settings: SearchSettings, ledger: Ledger | None, console: Console
) -> None:
    """Print what is about to run: the settings, and how many trials have ended before."""
    if ledger is not None:
        folder = escape(str(ledger.folder))
        console.print(f"resuming {folder}", highlight=False, soft_wrap=True)
    if settings.provenance["source"] != "real":
        console.print(
            "SYNTHETIC DATA: no number below says anything about real data", style="bold"
        )
    trial_logs = ledger.trial_logs if ledger else {}
    ended = sum(trial_log.outcome is not None for trial_log in trial_logs.values())
    already = f", {ended} of them ended before" if ended else ""
    arms = f" ({len(settings.arms)} arms of {settings.tune_arms})" if settings.arms else ""
    console.print(
        f"[bold]{escape(space.title)}[/]\n"
        f"{settings.trials} trial{'' if settings.trials == 1 else 's'}{arms}{already}, "
        f"{settings.reports} reports each, sampler "
        f"{settings.sampler}, scheduler {settings.scheduler}, seed {settings.seed}",
        highlight=False,
        soft_wrap=True,
    )


def print_summary(
    space: SearchSpace[Any], ledger: Ledger, infeasible: int, following: str, console: Console
) -> None:
    """Print the best trials, the failures, and what `list_next_commands` returns."""
    console.print()
    console.print(make_best_trials_table(ledger))
    print_failures(space, ledger, console)
    if infeasible:
        console.print(f"{infeasible} infeasible configurations were rejected, at no cost")
    console.print(following, highlight=False, markup=False, soft_wrap=True)


def print_failures(space: SearchSpace[Any], ledger: Ledger, console: Console) -> None:
    """Print how many trials failed, why the first did, and the last lines that it printed."""
    failed = [
        trial_log for trial_log in ledger.trial_logs.values() if trial_log.outcome == "failed"
    ]
    if not failed:
        return
    first = failed[0]
    folder = ledger.folder / "trials" / f"{first.trial:03d}"
    text = (
        f"{len(failed)} failed; the first, trial {first.trial:03d}: "
        f"{describe_failure(first, space)}\n"
        f"its traceback is in {folder / 'reports.jsonl'}"
    )
    if lines := first.failures[-1].output.splitlines()[-OUTPUT_LINES:]:
        text += "\nthe last lines of its output:\n" + "\n".join(f"  | {line}" for line in lines)
        file = ledger.latest_attempt(first.trial) / OUTPUT
        text += f"\nall of it is in {file}" if file.exists() else ""
    console.print(text, style="yellow", highlight=False, markup=False, soft_wrap=True)


def make_best_trials_table(ledger: Ledger) -> Table | str:
    """Return a table of the best trials, with the hyperparameters in which they differ."""
    best = ledger.rank_trials(ledger.trial_logs.values())[:SHOWN]
    if not best:
        return "no trial has a score"
    names = [name for name in best[0].config if name != "seed"]
    varying = [name for name in names if len({to_text(log.config.get(name)) for log in best}) > 1]
    table = Table(title=f"best trials by {escape(ledger.metric)}", title_justify="left", box=None)
    for column in ("trial", "score", "outcome", "reports", "device time"):
        table.add_column(column, no_wrap=True, justify="left" if column == "outcome" else "right")
    table.add_column("settings", overflow="fold")
    for trial_log in best:
        best_report = ledger.best_report(trial_log)
        assert best_report is not None
        table.add_row(
            f"{trial_log.trial:03d}",
            format_number(best_report[0]),
            trial_log.outcome,
            str(trial_log.done),
            format_duration(trial_log.seconds),
            escape(
                "  ".join(f"{name}={format_number(trial_log.config[name])}" for name in varying)
            ),
        )
    return table


def list_next_commands(ledger: Ledger, storage: Storage, experiment: str) -> str:
    """Return where everything is, and the exact commands that show it.

    `experiment` is the id of the space's experiment in MLflow.
    """
    uri = storage.find_tracking_uri(ledger.settings.tracking_uri)
    is_default, is_file = uri == storage.default_tracking_uri, is_database_file(uri)
    options = list_storage_options(storage)
    options += [] if is_default else ["--tracking-uri", redact_address(uri)]
    name = ledger.folder.name
    # After `--` a name may begin with a dash, but options may not follow.
    words = [*options, "--", name] if name.startswith("-") else [name, *options]
    address = shlex.quote(redact_address(uri))
    server = LOCAL_SERVER if is_file else uri
    page = format_experiment_page(server, experiment) if server.startswith("http") else ""
    lines = [
        f"\nledger and checkpoints: {ledger.folder}",
        f"MLflow database:        {redact_address(uri)}",
        *([f"runs in MLflow:         {page}"] if page and not is_file else []),
        "next:",
        *([f"  mlflow ui --backend-store-uri {address}", f"    {page}"] if is_file else []),
        *([f"  {format_command('report')} {shlex.join(words)}"] if ledger.top_trials else []),
    ]
    return "\n".join(lines)
