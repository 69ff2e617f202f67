"""The files of attempts on a worker: taken over from an earlier attempt, and uploaded."""

from __future__ import annotations

import platform
import re
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cluster.execution.failures import StorageUnreachableError
from cluster.ledger.files import OUTPUT
from cluster.storage import replication
from cluster.storage.location import Location
from cluster.storage.replication import retry_until_reachable, trial_owner
from trainables import cache
from trainables.errors import DamagedFileError
from trainables.saved_run import copy_saved_run, read_saved_run

TEMPORARY = re.compile(
    r"time[d_ ]*out|network|connect|curl|resolve|unavailable|slow_?down|throttl|deadline|internal"
    r"|exhausted|\b5\d\d\b|\b429\b",
    re.IGNORECASE,
)
"""Words of storage errors that may pass; pyarrow has one OSError for all of them."""
PAUSES = (1.0, 5.0)
"""Seconds before a storage that denies access is asked again: a role may arrive late."""


def check_storage(folder: Path, remote: Location | None) -> None:
    """Raise StorageUnreachableError where this machine cannot use the storage.

    It may have joined the cluster after all others were checked.
    """
    if remote is not None:
        retry_until_reachable(lambda: _check_access(Location(remote.uri)))
    elif not folder.is_dir():
        raise StorageUnreachableError(
            f"the machine {platform.node()} does not see the storage {folder}"
        )


def _check_access(storage: Location) -> None:
    for pause in (*PAUSES, None):
        try:
            replication.check_access(storage)
            return
        except OSError as error:
            why = str(error).partition("\n")[0]
            if TEMPORARY.search(re.sub("'[^']*'", "", why)):  # quoted names may have any words
                raise
            if pause is None:
                raise StorageUnreachableError(
                    f"the machine {platform.node()} cannot use the storage {storage}: {why}"
                ) from error
        time.sleep(pause)


def copy_earlier_attempt(folder: Path, attempt: int, done: int = 0) -> list[str]:
    """Copy the newest intact checkpoints of an earlier attempt, whose worker may still write.

    Returns notes for the user about damaged ones, and about missing ones of a trial with `done`
    reports.
    """
    if folder.exists():
        shutil.rmtree(folder)  # an attempt of the same number that the ledger does not know
    return _find_intact(
        folder, attempt, done, lambda k: copy_saved_run(folder.with_name(f"attempt-{k}"), folder)
    )


def download_earlier_attempt(
    folder: Path, remote: Location, config: Mapping[str, Any]
) -> list[str]:
    """Download the newest intact files of an earlier attempt, uploaded by any machine.

    Returns notes for the user about damaged ones.
    """
    return retry_until_reachable(lambda: _download_earlier(folder, remote, config))


def _download_earlier(folder: Path, remote: Location, config: Mapping[str, Any]) -> list[str]:
    trial, attempt = config["trial"], config["attempt"]
    for old in folder.parent.glob("attempt-*"):
        shutil.rmtree(old)
    replication.delete(_location(remote, trial, attempt))
    owner = trial_owner(config["config"])

    def download(earlier: int) -> bool:
        found = replication.download(_location(remote, trial, earlier), folder, owner)
        read_saved_run(folder)
        return found

    return _find_intact(folder, attempt, config.get("done", 0), download)


def _find_intact(folder: Path, attempt: int, done: int, fetch: Callable[[int], bool]) -> list[str]:
    """Fetch the newest earlier attempt that can be fetched, and return a note on each damaged one.

    An older attempt, or none, costs the reports since; `best/` alone would not do, since another
    state of the optimizer and of the random numbers is another training.
    """
    damaged: list[str] = []
    consequence = "the trial starts again from its first report"
    found = False
    for earlier in range(attempt - 1, 0, -1):
        try:
            if found := fetch(earlier):
                consequence = f"the trial continues from attempt {earlier}"
                break
        except DamagedFileError as error:
            shutil.rmtree(folder, ignore_errors=True)
            damaged.append(str(error))
    if done and not found and not damaged:
        damaged.append(f"{folder.parent} has no checkpoint of report {done}")
    return [f"{text}; {consequence}" for text in damaged]


def upload_attempt(folder: Path, remote: Location, config: Mapping[str, Any]) -> None:
    """Upload the files of an attempt that have changed."""
    location = _location(remote, config["trial"], config["attempt"])
    owner = trial_owner(config["config"])
    retry_until_reachable(lambda: replication.upload(folder, location, owner))


def upload_output(folder: Path, remote: Location, config: Mapping[str, Any]) -> None:
    """Upload the output of a failed attempt, and leave the copy of its other files as it is."""
    location = _location(remote, config["trial"], config["attempt"])
    known = replication.read_newest_index(location)
    files = {name: stamp for name, (_, stamp) in known.files.items()} if known else {}
    files |= replication.stat_files(folder, [OUTPUT])
    replication.upload(folder, location, trial_owner(config["config"]), files)


def download_teacher(
    teacher: Path | None, teachers: Location | None, cache_folder: Path
) -> Path | None:
    """Return the teacher's folder on this machine, downloaded into its cache where missing.

    Raises OSError.
    """
    if teacher is None or teachers is None or teacher.is_dir():
        return teacher

    def build(draft: Path) -> None:
        if not retry_until_reachable(lambda: replication.download(teachers, draft, teacher.name)):
            raise FileNotFoundError(f"the teacher {teacher.name} is not in {teachers}")

    return cache.get_or_build(cache_folder, "teacher", {"copy": teacher.name}, build)


def _location(remote: Location, trial: int, attempt: int) -> Location:
    return remote / f"{trial:03d}" / str(attempt)
