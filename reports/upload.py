"""Log a report to its search: as artifacts of the parent run, which MLflow's UI shows."""

from collections.abc import Sequence
from pathlib import Path

from reports.read.records import Tracker, TrackerError
from reports.records import Search
from trainables.errors import UserError


def log_report(
    tracker: Tracker, search: Search, folder: Path, files: Sequence[Path], page: str
) -> None:
    """Log a report's files and its HTML page to the run of the search, below report/."""
    try:
        for path in files:
            place = Path("report") / path.relative_to(folder).parent
            tracker.log_artifact(search.run_id, str(path), place.as_posix())
        tracker.log_text(search.run_id, page, "report/report.html")
    except (TrackerError, OSError) as error:
        raise UserError(
            f"The report is written, but not logged to the tracking server: {error}\n"
            "Correct this and run the command again, or add --no-log."
        ) from error
