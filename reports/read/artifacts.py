"""Read the files of a run: what is on record and cannot be read is an error, never absent.

A search records what it has stored: the tag `splits` of its run, `predictions` and `weights` of a
trial's. Searches of older versions have not all of these: their files are listed.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from cluster.storage.redaction import first_line
from reports.read.records import Tracker
from reports.records import TrialRecord
from trainables.errors import UnreadableError

SPLITS, PREDICTIONS, WEIGHTS = "splits", "predictions", "weights"
"""Tags that say which files there are."""


def list_recorded(tags: Mapping[str, str], tag: str) -> list[str] | None:
    """Return what a run records as stored; None where it records nothing."""
    text = tags.get(tag)
    if text is None:
        return None
    try:
        names = json.loads(text)
    except ValueError:
        names = None
    if not isinstance(names, list):
        raise UnreadableError(f"The tag `{tag}` is damaged: {text[:200]!r}")
    return [str(name) for name in names]


def list_files(tracker: Tracker, run_id: str, folder: str, name: str) -> set[str]:
    """Return the paths of a run's files in a folder; `name` is the run's, for messages."""
    try:
        return {entry.path for entry in tracker.list_artifacts(run_id, folder or None)}
    except Exception as error:  # of many classes: of MLflow, of HTTP, of stores such as S3
        raise _describe(folder or "the list of files", run_id, name, error) from error


def download_artifact(tracker: Tracker, run_id: str, path: str, folder: Path, name: str) -> Path:
    """Download a file of a run below `folder` and return its path.

    Raises UnreadableError where it does not exist or cannot be read.
    """
    target = folder / run_id
    target.mkdir(exist_ok=True)
    parent = Path(path).parent.as_posix()
    if path not in list_files(tracker, run_id, "" if parent == "." else parent, name):
        raise UnreadableError(
            f"{path} of run {name!r} ({run_id}) is missing: the search has written it.\n"
            f"Its place is {find_place(tracker, run_id)}: if the files were moved, move them "
            "back or name the storage with --storage."
        )
    try:
        file = Path(tracker.download_artifacts(run_id, path, str(target)))
    except Exception as error:
        raise _describe(path, run_id, name, error) from error
    if not file.is_file():
        raise UnreadableError(f"{path} of run {name!r} ({run_id}) is no file")
    return file


def has_artifact(tracker: Tracker, run: TrialRecord, tag: str, path: str) -> bool:
    """Return whether a run has this file, by its record or else by the list of its files."""
    recorded = list_recorded(run.tags, tag)
    if recorded is not None:
        return Path(path).stem in recorded
    return path in list_files(tracker, run.run_id, Path(path).parent.as_posix(), run.name)


def _describe(what: str, run_id: str, name: str, error: Exception) -> UnreadableError:
    return UnreadableError(
        f"{what} of run {name!r} ({run_id}) cannot be read: {first_line(error)}"
    )


def find_place(tracker: Tracker, run_id: str) -> str:
    """Return the address of a run's files."""
    try:
        return str(tracker.get_run(run_id).info.artifact_uri)
    except Exception as error:
        return f"unknown ({first_line(error)})"
