"""Find damaged and deleted logs of a search, and begin these trials again.

`trials.jsonl` has the first event of every trial once more, its number and its configuration. A
trial whose log is lost begins again under its number with the same configuration, so that neither
the study nor MLflow has to forget anything; its checkpoints, where there are any, are used. A log
is never repaired: without one of its reports another trial could win.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from pathlib import Path

from cluster.ledger.files import log_path
from cluster.ledger.trial_log import Event, TrialLog, append_event, read_trial_log
from trainables.errors import DamagedFileError
from trainables.integrity import decode_json

INDEX = "trials.jsonl"
"""File of the first events in a search's folder."""


def read_trial_logs(
    search: Path, repair: bool = False
) -> tuple[dict[int, TrialLog], dict[int, str]]:
    """Read the logs of a search by trial, and why others cannot be read.

    `repair` is that of `read_trial_log`.
    """
    trial_logs: dict[int, TrialLog] = {}
    index = read_index(search)
    damaged = _find_lost(search, index)
    for trial in sorted(list_trials(search) | index.keys()):
        path = log_path(search, trial)
        try:
            trial_log = read_trial_log(path, repair) if path.exists() else None
        except DamagedFileError as error:
            damaged[trial] = str(error)
            continue
        if trial_log is not None and trial_log.trial == trial:
            trial_logs[trial] = trial_log
        elif trial_log is not None:
            damaged[trial] = f"{path} is the log of trial {trial_log.trial}"
        else:
            damaged[trial] = f"{path} is {'empty' if path.exists() else 'missing'}"
    return trial_logs, damaged


def read_index(search: Path) -> dict[int, Event]:
    """Return the first events of the trials by their numbers; a damaged line is left out."""
    path = search / INDEX
    events = [event for line in _read_lines(path) if (event := _parse_first(line))]
    return {event["trial"]: event for event in events}


def complete_index(search: Path) -> None:
    """Write to the index what it lacks: it is damaged, or of an older version."""
    known = read_index(search)
    path = search / INDEX
    lines = _read_lines(path)
    intact = [line for line in lines if _parse_first(line)]
    if len(intact) < len(lines) or (lines and not path.read_bytes().endswith(b"\n")):
        part = path.with_name(f"{INDEX}.part")
        part.write_bytes(b"".join(line + b"\n" for line in intact))
        part.replace(path)
    for log in sorted(search.glob("trials/*/reports.jsonl")):
        with log.open("rb") as file:
            event = _parse_first(file.readline())
        if event and event["trial"] not in known and log.parent.name == f"{event['trial']:03d}":
            append_event(path, event)


def restart_trial(search: Path, trial: int, why: str) -> tuple[TrialLog | None, str]:
    """Begin a trial again whose log is lost, and return its log and a note for the user.

    A damaged file is kept under another name. None where the configuration is lost, too.
    """
    path = log_path(search, trial)
    first, kept = read_index(search).get(trial), ""
    if path.exists():
        with path.open("rb") as file:
            own = _parse_first(file.readline())
        if own and own["trial"] == trial:  # else it is a copy of another trial's
            first = first or own
        number = len(list(path.parent.glob("reports.damaged-*.jsonl"))) + 1
        kept = path.rename(path.with_name(f"reports.damaged-{number}.jsonl")).name
    what = f"; the file is kept as {kept}" if kept else ""
    if first is None:
        if path.parent.is_dir() and not kept:  # told once, as where a file is kept
            path.with_name("reports.damaged-1.jsonl").touch()
        return None, f"{why}: its configuration is lost, too, and another one is tried{what}"
    path.parent.mkdir(parents=True, exist_ok=True)
    append_event(path, first)
    names = (folder.name for folder in path.parent.glob("attempt-*"))
    attempts = [int(found[1]) for name in names if (found := re.fullmatch(r"attempt-(\d+)", name))]
    if attempts:  # the next attempt continues from the last one's checkpoint
        append_event(path, {"attempt": max(attempts), "time": time.time()})
    note = f"{why}: trial {trial} begins again with the same configuration{what}"
    return read_trial_log(path), note


def list_trials(search: Path) -> set[int]:
    """Return the trials that have a log, or that have lost it and are not known to have."""
    folders = [path for path in search.glob("trials/*") if path.name.isdecimal()]
    return {
        int(path.name)
        for path in folders
        if (path / "reports.jsonl").exists() or not any(path.glob("reports.damaged-*.jsonl"))
    }


def _find_lost(search: Path, index: Mapping[int, Event]) -> dict[int, str]:
    """Return why trials are lost whose line of the index is damaged and whose log is missing.

    Where the number is lost, too, it is negative.
    """
    path, folders = search / INDEX, (log.parent.name for log in search.glob("trials/*/*.jsonl"))
    unlisted = {int(name) for name in folders if name.isdecimal()} - index.keys()
    unknown: list[tuple[int, int]] = []
    for number, line in enumerate(_read_lines(path), 1):
        if _parse_first(line):
            continue
        found = re.match(rb'\{"trial": (\d{1,9}),', line)
        trial = int(found[1]) if found else -number
        if trial in unlisted:
            unlisted.remove(trial)
        else:
            unknown.append((number, -number if trial in index else trial))
    # A line without a number may be that of any trial whose log is there.
    return {
        trial: f"{path}, line {number} is damaged, and the log of its trial is missing"
        for number, trial in unknown[len(unlisted) :]
    }


def _read_lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines() if path.exists() else []


def _parse_first(line: bytes) -> Event | None:
    try:
        event = decode_json(line)
    except ValueError:
        return None
    return event if isinstance(event.get("trial"), int) else None
