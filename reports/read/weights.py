"""The weights of a run, and what its task made of them: they lie together among its artifacts."""

import re
import shutil
import tempfile
from pathlib import Path

from reports.read.records import Tracker
from reports.records import TrialRecord

PLACE = "checkpoint"  # among a run's artifacts
EXHIBIT = re.compile(r"[\w-]+\.(md|png|gif)")  # a text or a picture for the report


def download_weights(tracker: Tracker, run: TrialRecord, folder: Path) -> bool:
    """Put a run's checkpoint, without what a report shows of it, where `folder` says.

    False where the server has none.
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
