"""Log a report to its search: as artifacts of the parent run, which MLflow's UI shows."""

from collections.abc import Sequence
from pathlib import Path

from cluster.tracking.description import REPORT, change_description
from cluster.tracking.pages import format_artifact_page
from reports.read.records import Tracker, TrackerError
from reports.records import Search
from reports.write.safe import escape_markdown
from reports.write.sections import join_paragraphs
from trainables.errors import UserError

PAGE = "report/report.html"
LONGEST = 2000
"""Characters of the findings in a description."""


def log_report(
    tracker: Tracker,
    search: Search,
    folder: Path,
    files: Sequence[Path],
    page: str,
    findings: str,
) -> None:
    """Log a report's files and its HTML page to the run of the search, below report/.

    The description of the run ends with `findings` and a link to the page.
    """
    try:
        for path in files:
            place = Path("report") / path.relative_to(folder).parent
            tracker.log_artifact(search.run_id, str(path), place.as_posix())
        tracker.log_text(search.run_id, page, PAGE)
        part = describe_report(search, findings)
        for key, text in change_description(search.tags, REPORT, part).items():
            tracker.set_tag(search.run_id, key, text)
    except (TrackerError, OSError) as error:
        raise UserError(
            f"The report is written, but not logged to the tracking server: {error}\n"
            "Correct this and run the command again, or add --no-log."
        ) from error


def describe_report(search: Search, findings: str) -> str:
    """Return what the description of a search's run says of its report, with a link to it."""
    report = format_artifact_page("", search.experiment, search.run_id, PAGE)
    return join_paragraphs(
        escape_markdown(findings)[:LONGEST],
        f"[Report]({report})",
    )
