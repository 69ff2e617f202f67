"""The first and the last words of a search: what it will do, what it found, what is next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.parameters import config_field
from cluster.storage.redaction import redact
from cluster.tracking.client import default_tracking_uri
from cluster.tuning.progress import describe_failure, format_number
from searchspaces.space import SearchSpace
from trainables.durations import format_duration

SHOWN = 5


def print_header(
    space: SearchSpace[Any],
    new: Mapping[str, Any],
    there: Mapping[int, TrialLog],
    console: Console,
) -> None:
    """Say what is about to happen, by the settings of a search and the trials it has already."""
    if new["tags"]["source"] != "real":
        console.print(
            "SYNTHETIC DATA: no number below says anything about real data", style="bold"
        )
    ended = sum(trial_log.outcome is not None for trial_log in there.values())
    already = f", {ended} of them there already" if ended else ""
    console.print(
        f"[bold]{space.name}[/]: {space.question}\n"
        f"{new['trials']} trials{already}, {new['reports']} reports each, sampler "
        f"{new['sampler']}, scheduler {new['scheduler']}, seed {new['seed']}",
        highlight=False,
        soft_wrap=True,
    )


def print_summary(
    space: SearchSpace[Any],
    ledger: Ledger,
    infeasible: int,
    storage: Path,
    console: Console,
) -> None:
    """Print the best trials, what went wrong, where everything is, and what to type next."""
    console.print()
    console.print(best_trials(ledger))
    print_failures(space, ledger, console)
    if infeasible:
        console.print(f"{infeasible} configurations were refused as infeasible, at no cost")
    following = next_commands(ledger, storage)
    console.print(following, highlight=False, markup=False, soft_wrap=True)


def print_failures(space: SearchSpace[Any], ledger: Ledger, console: Console) -> None:
    """Say how many trials failed, why the first did, and where its traceback is."""
    failed = [
        trial_log for trial_log in ledger.trial_logs.values() if trial_log.outcome == "failed"
    ]
    if failed:
        first = failed[0]
        told = ledger.folder / "trials" / f"{first.trial:03d}" / "reports.jsonl"
        console.print(
            f"{len(failed)} failed; the first, trial {first.trial:03d}: "
            f"{describe_failure(first, space)}\n"
            f"its traceback is in {told}",
            style="yellow",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )


def best_trials(ledger: Ledger) -> Table | str:
    """Give a table of the best trials, with the settings in which they differ."""
    best = ledger.rank_trials(ledger.trial_logs.values())[:SHOWN]
    if not best:
        return "no trial has a score"
    searched = dict.fromkeys(map(config_field, ledger.settings["parameters"]))
    varying = [name for name in searched if len({str(s.config.get(name)) for s in best}) > 1]
    table = Table(title=f"best trials by {ledger.metric}", title_justify="left", box=None)
    for column in ("trial", "score", "outcome", "reports", "device time"):
        table.add_column(column, no_wrap=True, justify="left" if column == "outcome" else "right")
    table.add_column("settings", overflow="fold")
    for trial_log in best:
        found = ledger.best_report(trial_log)
        assert found is not None
        table.add_row(
            f"{trial_log.trial:03d}",
            format_number(found[0]),
            trial_log.outcome,
            str(trial_log.done),
            format_duration(trial_log.seconds),
            escape(
                "  ".join(f"{name}={format_number(trial_log.config[name])}" for name in varying)
            ),
        )
    return table


def next_commands(ledger: Ledger, storage: Path) -> str:
    """Say where everything is, and the exact commands that show it."""
    uri = ledger.settings["tracking_uri"]
    own = uri == default_tracking_uri(storage)
    where = "" if storage == Path("runs") else f" --storage {shlex.quote(str(storage))}"
    where += "" if own else f" --tracking-uri {redact(uri)}"
    look = [f"  mlflow ui --backend-store-uri {shlex.quote(uri)}"] if own else []
    lines = [
        f"\nledger and checkpoints: {ledger.folder}",
        f"MLflow database:        {redact(uri)}",
        "next:",
        *look,
        f"  python -m reports {ledger.folder.name}{where}",
    ]
    return "\n".join(lines)
