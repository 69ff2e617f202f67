"""Download the weights of a run; exhibits that its task made with them are stored with them."""

import re
import shutil
import tempfile
from pathlib import Path

from reports.read.records import Tracker
from reports.records import TrialRecord

PLACE = "checkpoint"
"""Folder of the weights among a run's artifacts."""
EXHIBIT = re.compile(r"[\w-]+\.(md|png|gif)")
"""Name of a text or picture that a report shows."""


def download_weights(tracker: Tracker, run: TrialRecord, folder: Path) -> bool:
    """Download a run's checkpoint, without its exhibits, as `folder`.

    Returns whether the server has one.
    """
    listed = {entry.path for entry in tracker.list_artifacts(run.run_id, PLACE)}
    if f"{PLACE}/manifest.json" not in listed:
        return False
    with tempfile.TemporaryDirectory() as draft:
        found = tracker.download_artifacts(run.run_id, PLACE, draft)
        shutil.move(found, folder)
    for path in folder.iterdir():
        if EXHIBIT.fullmatch(path.name):
            path.unlink()
    return True
