"""The searches in a storage: how far each is, and the next command."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cluster.ledger.damage import read_trial_logs
from cluster.ledger.driver import find_driver
from cluster.ledger.files import RERUNS
from cluster.ledger.newest import find_copies, find_newest
from cluster.ledger.settings import FILE, SearchSettings, read_settings
from cluster.ledger.trial_log import TrialLog, rank_trial_logs
from cluster.storage.searches import find_folder
from cluster.storage.storage import Storage, list_storage_options
from trainables.durations import format_duration
from trainables.errors import UserError

Facts = dict[str, Any]
LAST = 10
"""Trials that `tunery show` lists."""


def list_searches(storage: Storage) -> list[Facts]:
    """Return name, space, state, trials, best score, start and next command of every search.

    The state is `running`, `interrupted`, `finished`, or, with the reason, `copy` or `unreadable`.
    A search whose best configurations are not yet all run again is interrupted.
    """
    folders = sorted(path.parent for path in storage.folder.glob(f"*/{FILE}"))
    copies = find_copies(storage.folder)
    found = []
    for folder in folders:
        if original := copies.get(folder):
            reason = f"holds the same search as {original.name}: move it out of {storage.folder}"
            found.append({"name": folder.name, "state": "copy", "reason": reason})
            continue
        try:
            found.append(
                _describe(storage, folder, read_settings(folder), *read_trial_logs(folder))
            )
        except UserError as error:
            reason = str(error).partition("\n")[0]
            found.append({"name": folder.name, "state": "unreadable", "reason": reason})
    return sorted(found, key=lambda facts: facts.get("started", ""))


def show_search(storage: Storage, name: str) -> Facts:
    """Return the facts, settings, best trial and last trials of a search, or of a space's newest.

    Raises UserError where there is no such search.
    """
    folder = find_folder(storage, name)
    settings = read_settings(folder)
    logs, damaged = read_trial_logs(folder)
    ranked = rank_trial_logs(logs.values(), settings.metric, settings.mode)
    latest = sorted(logs.values(), key=lambda log: log.last)[-LAST:]
    return {
        **_describe(storage, folder, settings, logs, damaged),
        "folder": str(folder),
        "metric": settings.metric,
        "mode": settings.mode,
        "settings": {
            "sampler": settings.sampler,
            "scheduler": settings.scheduler,
            "reports": settings.reports,
            "seed": settings.seed,
            "fixed": dict(settings.fixed),
        },
        "best_trial": _describe_trial(ranked[0], settings) if ranked else None,
        "last_trials": [_describe_trial(log, settings) for log in latest],
        "damaged": list(damaged.values()),
    }


def _describe(
    storage: Storage,
    folder: Path,
    settings: SearchSettings,
    logs: Mapping[int, TrialLog],
    damaged: Mapping[int, str],
) -> Facts:
    ended = sum(log.outcome is not None for log in logs.values())
    ranked = rank_trial_logs(logs.values(), settings.metric, settings.mode)
    driver = find_driver(folder)
    is_searched = _has_ended(settings, logs, damaged)
    is_finished = is_searched and not _has_reruns_left(folder, settings, logs)
    best = ranked[0].find_best_report(settings.metric, settings.mode) if ranked else None
    state = "running" if driver else "finished" if is_finished else "interrupted"
    words = _find_next(storage, folder, settings, state, is_searched)
    return {
        "name": folder.name,
        "space": settings.space,
        "state": state,
        "process": driver,
        "trials": settings.trials,
        "ended": ended,
        "best": best[0] if best else None,
        "started": datetime.fromtimestamp(settings.started).astimezone().isoformat("T", "seconds"),
        "next": shlex.join(["tunery", *words, *list_storage_options(storage)]),
    }


def _has_ended(
    settings: SearchSettings, logs: Mapping[int, TrialLog], damaged: Mapping[int, str]
) -> bool:
    ended = [log.outcome is not None for log in logs.values()]
    return all(ended) and len(ended) >= settings.trials and not damaged


def _has_reruns_left(folder: Path, settings: SearchSettings, logs: Mapping[int, TrialLog]) -> bool:
    if (folder / RERUNS / FILE).is_file():
        return not _has_ended(read_settings(folder / RERUNS), *read_trial_logs(folder / RERUNS))
    is_complete = any(log.outcome == "complete" for log in logs.values())
    return settings.tune_arms > 0 and is_complete


def _find_next(
    storage: Storage, folder: Path, settings: SearchSettings, state: str, is_searched: bool
) -> list[str]:
    # The name may also be that of a space with a newer search, and a renamed folder's is unknown.
    is_newest = find_folder(storage, folder.name) == folder
    is_own = settings.id.rpartition("-")[0] in ("", folder.name)
    name = folder.name if is_newest and is_own else settings.id
    if state == "running":
        return ["stop", name]
    if state == "finished" or find_newest(storage.folder, settings.space) != folder:
        return ["report", name]
    space = settings.provenance.get("space_file") or settings.space
    if not is_searched or settings.tune_arms:
        return ["tune", space, "--resume"]
    # Re-runs that were planned earlier are continued: these numbers add none to them.
    planned = Counter(tags["of"] for _, tags in read_settings(folder / RERUNS).reruns)
    best, seeds = max(1, len(planned) - 1), min(planned.values())  # the default is one of them
    return ["confirm", space, "--confirm", str(best), "--seeds", str(seeds)]


def _describe_trial(log: TrialLog, settings: SearchSettings) -> Facts:
    best = log.find_best_report(settings.metric, settings.mode)
    return {
        "trial": log.trial,
        "outcome": log.outcome or "unfinished",
        "score": best[0] if best else None,
        "reports": log.done,
        "seconds": log.seconds,
        "config": dict(log.config),
    }


def print_searches(searches: list[Facts], console: Console) -> None:
    """Print a table of the searches, and the next command of each."""
    table = Table(box=None, pad_edge=False)
    for column in ("search", "space", "state"):
        table.add_column(column)
    for column in ("trials", "best", "started"):
        table.add_column(column, justify="right")
    for facts in searches:
        if "reason" in facts:
            table.add_row(escape(facts["name"]), "", facts["state"], "", "", "")
            continue
        table.add_row(
            escape(facts["name"]),
            escape(facts["space"]),
            facts["state"],
            f"{facts['ended']} of {facts['trials']}",
            "-" if facts["best"] is None else f"{facts['best']:.6g}",
            facts["started"][:16].replace("T", " "),
        )
    console.print(table)
    for facts in searches:
        text = facts.get("next") or f"{facts['name']}: {facts['reason']}"
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def print_search(facts: Facts, console: Console) -> None:
    """Print one search: settings, best trial with its configuration, and last trials."""
    best = "none" if facts["best"] is None else f"{facts['best']:.6g}"
    values = {**facts["settings"], **facts["settings"]["fixed"]}
    del values["fixed"]
    lines = [
        f"{facts['name']} (space {facts['space']}): {facts['state']}, "
        f"{facts['ended']} of {facts['trials']} trials, started {facts['started']}",
        f"folder: {facts['folder']}",
        "settings: " + "  ".join(f"{name}={value}" for name, value in values.items()),
        f"best {facts['metric']} ({facts['mode']}): {best}",
    ]
    if trial := facts["best_trial"]:
        config = "  ".join(f"{name}={value}" for name, value in trial["config"].items())
        lines.append(f"trial {trial['trial']}: {config}")
    lines += facts["damaged"]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    table = Table(title="last trials", title_justify="left", box=None, pad_edge=False)
    for column in ("trial", "outcome", "score", "reports", "device time"):
        table.add_column(column, justify="left" if column == "outcome" else "right")
    for trial in facts["last_trials"]:
        table.add_row(
            str(trial["trial"]),
            trial["outcome"],
            "-" if trial["score"] is None else f"{trial['score']:.6g}",
            str(trial["reports"]),
            format_duration(trial["seconds"]),
        )
    console.print(table)
    console.print(f"next: {facts['next']}", markup=False, highlight=False, soft_wrap=True)
