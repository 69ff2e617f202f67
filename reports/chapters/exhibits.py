"""Texts and pictures that the task of the winner made with its weights."""

import re
import tempfile
from pathlib import Path

from cluster.storage.redaction import redact
from reports.read.artifacts import download_artifact
from reports.read.records import Tracker
from reports.read.weights import EXHIBIT, PLACE, list_checkpoint
from reports.read.winner import Choice
from reports.write.safe import escape_markdown
from reports.write.sections import Section, join_paragraphs
from reports.write.style import to_words
from trainables.errors import UnreadableError

LONGEST = 30_000  # characters of a text
SEALED = "\n\nPoints of the test set are grey, since its labels are sealed."


def write_section(tracker: Tracker, choice: Choice) -> Section | None:
    """Return texts inline and pictures as files; None if the winner has none.

    One that cannot be read is said in its place, beside the others.
    """
    run = choice.model
    found = sorted(
        path
        for listed in list_checkpoint(tracker, run)
        if EXHIBIT.fullmatch(path := Path(listed).name)
    )
    parts, files, unreadable = [], {}, []
    with tempfile.TemporaryDirectory() as folder:
        for name in found:
            at = f"{PLACE}/{name}"
            title = escape_markdown(to_words(Path(name).stem).capitalize())
            try:
                file = download_artifact(tracker, run.run_id, at, Path(folder), run.name)
            except UnreadableError as error:
                unreadable.append(str(error))
                text = escape_markdown(redact(str(error)))
                parts.append(f"### {title}\n\n**Not available**: {text}")
                continue
            if file.suffix == ".md":
                text = file.read_text(encoding="utf-8", errors="replace")
                parts.append(f"### {title}\n\n{lower_headings(text)}")
            else:
                # A name that no figure of the report has.
                files[f"winner-{name}"] = file.read_bytes()
                grey = SEALED if file.stem.startswith("map_") else ""
                parts.append(f"### {title}\n\n![{title}](figures/winner-{name}){grey}")
    if not parts:
        return None
    text = join_paragraphs(f"Made by {run.title} with its best weights.", *parts)
    return Section(text, files=files, unreadable="\n".join(unreadable))


def lower_headings(text: str) -> str:
    """Return a text without its title, with headings below those of a report, cut if long."""
    text = re.sub(r"\A# .*\n*", "", text)
    text = re.sub(r"^#{1,3} ", "#### ", text, flags=re.MULTILINE).strip()
    if len(text) > LONGEST:
        text = f"{text[:LONGEST].rpartition(chr(10))[0]}\n\n(The rest is omitted.)"
    return text
