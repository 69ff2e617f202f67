"""The description of a search's run in MLflow: its best trial, then its report.

Both are written at their own times. Each is kept in a tag of its own, so that none removes the
other.
"""

from __future__ import annotations

from collections.abc import Mapping

from cluster.tracking.run_records import clean_tag

NOTE = "mlflow.note.content"
"""The tag that MLflow shows as the description of a run or an experiment, as markdown."""
BEST = "description.best"
"""The tag with the part about the best trial."""
REPORT = "description.report"
"""The tag with the part about the report."""


def change_description(tags: Mapping[str, str], part: str, text: str) -> dict[str, str]:
    """Return the tags that replace a part, BEST or REPORT, of the description of a run.

    `tags` are those that the run has.
    """
    parts = {name: tags.get(name, "") for name in (BEST, REPORT)} | {part: clean_tag(text)}
    return {part: parts[part], NOTE: clean_tag("\n\n".join(filter(None, parts.values())))}


def escape_line(text: str) -> str:
    """Return a text of the user as one line of markdown in which nothing is markup."""
    return "".join(f"\\{c}" if c in "\\`*_[]<>#~|&!" else c for c in " ".join(text.split()))
