"""The record of openings of a test set for a model in a folder, which belongs to no search."""

import json
from datetime import UTC, datetime
from pathlib import Path

from reports.read.holdout_log import Opening
from trainables.errors import UserError

NAME = "test_openings.jsonl"


def add_folder_opening(folder: Path, entry: Opening) -> int:
    """Add an opening to the record in a folder, a line each; return how many it has.

    Raises UserError where it cannot be written.
    """
    path = folder / NAME
    line = json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds"), **entry})
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        return len(path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"The opening of the test set cannot be recorded in {path}: {error}\n"
            "No test score is shown that is not on record: make the folder writable."
        ) from error
