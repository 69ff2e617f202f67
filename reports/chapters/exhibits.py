"""What the winner itself has to show: texts and pictures that its task made of its weights."""

import re
import tempfile
from pathlib import Path

from reports.read.records import Tracker, download_artifact
from reports.read.weights import EXHIBIT, PLACE
from reports.read.winner import Choice
from reports.write.sections import Section, join_paragraphs
from reports.write.style import to_words

LONGEST = 30_000  # characters of a text
SEALED = "\n\nThe points of the test set are grey: its labels are sealed."


def write_section(tracker: Tracker, choice: Choice) -> Section | None:
    """Texts inline, pictures beside the report; None where the winner has none."""
    run = choice.model
    found = sorted(
        path
        for entry in tracker.list_artifacts(run.run_id, PLACE)
        if EXHIBIT.fullmatch(path := Path(entry.path).name)
    )
    parts, files = [], {}
    with tempfile.TemporaryDirectory() as folder:
        for name in found:
            file = download_artifact(tracker, run.run_id, f"{PLACE}/{name}", Path(folder))
            if file is None:
                continue
            title = to_words(file.stem).capitalize()
            if file.suffix == ".md":
                text = file.read_text(encoding="utf-8", errors="replace")
                parts.append(f"### {title}\n\n{lower_headings(text)}")
            else:
                # Another name than a figure of the report can have.
                files[f"winner-{name}"] = file.read_bytes()
                grey = SEALED if file.stem.startswith("map_") else ""
                parts.append(f"### {title}\n\n![{title}](figures/winner-{name}){grey}")
    if not parts:
        return None
    return Section(
        join_paragraphs(f"Written by {run.title} with its best weights.", *parts), files=files
    )


def lower_headings(text: str) -> str:
    """A text without its title, its headings below those of a report; cut where it is long."""
    text = re.sub(r"\A# .*\n*", "", text)
    text = re.sub(r"^#{1,3} ", "#### ", text, flags=re.MULTILINE).strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rpartition(chr(10))[0]}\n\n(The rest is left out.)"
    return text
