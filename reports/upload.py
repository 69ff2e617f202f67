"""Log a report to its search: as artifacts of the parent run, which MLflow's UI shows."""

from collections.abc import Sequence
from pathlib import Path

from cluster.tracking.pages import format_artifact_page
from reports.read.records import Tracker, TrackerError
from reports.records import Search
from reports.write.safe import escape_markdown
from reports.write.sections import join_paragraphs
from trainables.errors import UserError

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run, as markdown."""
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

    The description of the run becomes question, `findings` and a link to the page.
    """
    try:
        for path in files:
            place = Path("report") / path.relative_to(folder).parent
            tracker.log_artifact(search.run_id, str(path), place.as_posix())
        tracker.log_text(search.run_id, page, PAGE)
        tracker.set_tag(search.run_id, NOTE, describe_run(search, findings))
    except (TrackerError, OSError) as error:
        raise UserError(
            f"The report is written, but not logged to the tracking server: {error}\n"
            "Correct this and run the command again, or add --no-log."
        ) from error


def describe_run(search: Search, findings: str) -> str:
    """Return the description of a search's run in MLflow, with a link to its report there."""
    report = format_artifact_page("", search.experiment, search.run_id, PAGE)
    question = search.tags.get("question", "")
    return join_paragraphs(
        f"**Question.** {escape_markdown(question)}" if question else "",
        escape_markdown(findings)[:LONGEST],
        f"[Report]({report})",
    )
