"""Download the weights of a run; exhibits that its task made with them are stored with them."""

import json
import re
import shutil
import tempfile
from pathlib import Path

from cluster.storage.redaction import first_line
from reports.read.artifacts import WEIGHTS, find_place, list_files
from reports.read.records import Tracker
from reports.records import TrialRecord
from trainables.errors import UnreadableError

PLACE = "checkpoint"
"""Folder of the weights among a run's artifacts."""
EXHIBIT = re.compile(r"[\w-]+\.(md|png|gif)")
"""Name of a text or picture that a report shows."""


def list_checkpoint(tracker: Tracker, run: TrialRecord) -> set[str]:
    """Return the paths of a run's checkpoint among its artifacts; none where it has no weights.

    Raises UnreadableError where it has some by its record, and they are gone.
    """
    listed = list_files(tracker, run.run_id, PLACE, run.name)
    if run.tags.get(WEIGHTS) == "yes" and f"{PLACE}/manifest.json" not in listed:
        raise UnreadableError(
            f"The weights of {run.name!r} ({run.run_id}) are on record and are missing: "
            f"{PLACE}/manifest.json is not among its artifacts."
        )
    return listed


def download_weights(tracker: Tracker, run: TrialRecord, folder: Path) -> bool:
    """Download a run's checkpoint, without its exhibits, as `folder`.

    Returns whether it has one. Raises UnreadableError where it has, and cannot be read.
    """
    if f"{PLACE}/manifest.json" not in list_checkpoint(tracker, run):
        return False
    with tempfile.TemporaryDirectory() as draft:
        try:
            found = tracker.download_artifacts(run.run_id, PLACE, draft)
        except Exception as error:  # of many classes: of MLflow, of HTTP, of stores such as S3
            raise UnreadableError(
                f"The weights of {run.name!r} ({run.run_id}) cannot be read: {first_line(error)}"
            ) from error
        shutil.move(found, folder)
    if missing := _find_missing(folder):
        raise UnreadableError(
            f"{PLACE}/{missing} of run {run.name!r} ({run.run_id}) is missing: the search has "
            f"written it.\nIts place is {find_place(tracker, run.run_id)}: move the file back."
        )
    for path in folder.iterdir():
        if EXHIBIT.fullmatch(path.name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return True


def _find_missing(checkpoint: Path) -> str | None:
    """Return the file that the manifest of a checkpoint names and that is not beside it."""
    try:
        name = json.loads((checkpoint / "manifest.json").read_bytes())["file"]
    except (ValueError, KeyError, TypeError):
        return None  # damaged: told where it is restored
    return None if (checkpoint / str(name)).exists() else str(name)
