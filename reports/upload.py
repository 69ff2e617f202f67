"""Puts a report where its search is: among the artifacts of the parent run, for MLflow's UI."""

from collections.abc import Sequence
from pathlib import Path

from reports.read.records import Tracker, TrackerError
from reports.records import Search
from trainables.errors import UserError


def log_report(
    tracker: Tracker, search: Search, folder: Path, files: Sequence[Path], page: str
) -> None:
    """Put a report's files and its HTML page beside the search, as artifacts under report/."""
    try:
        for path in files:
            place = Path("report") / path.relative_to(folder).parent
            tracker.log_artifact(search.run_id, str(path), place.as_posix())
        tracker.log_text(search.run_id, page, "report/report.html")
    except (TrackerError, OSError) as error:
        raise UserError(
            f"The report is written, but not logged to the tracking server: {error}\n"
            "Mend the server and run this again, or leave that out with --no-log."
        ) from error
