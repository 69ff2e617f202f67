"""Read `search.json`: the ranges of a search, and its tags where a server has cut them."""

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from reports.read.artifacts import download_artifact
from reports.read.records import Tracker, parse_tags
from reports.records import Search
from trainables.errors import UnreadableError
from trainables.integrity import decode_json

LISTS = ("classes", "compare", "published", "versions")
"""Tags with JSON, which may be longer than a server accepts."""


def read_settings(tracker: Tracker, search: Search) -> dict[str, Any]:
    """Return the settings of a search; raises UnreadableError."""
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifact(tracker, search.run_id, "search.json", Path(folder), search.name)
        try:
            settings = decode_json(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UnreadableError(f"search.json of {search.name!r} is damaged: {error}") from error
    if "parameters" not in settings:  # every version writes them
        raise UnreadableError(f"search.json of {search.name!r} is damaged: it lacks `parameters`")
    return settings


def restore_tags(tracker: Tracker, search: Search) -> Search:
    """Return the search with tags that are cut read from its settings.

    Raises UnreadableError where they are not there either.
    """
    cut = [key for key in LISTS if key in search.tags and not _is_json(search.tags[key])]
    if not cut:
        return search
    provenance = read_settings(tracker, search).get("provenance", {})
    lost = [key for key in cut if not _is_json(provenance.get(key, ""))]
    if lost:
        raise UnreadableError(
            f"The tags {', '.join(lost)} of run {search.name!r} ({search.run_id}) are damaged, "
            "and search.json has no others."
        )
    tags = {**search.tags, **{key: provenance[key] for key in cut}}
    return replace(search, tags=tags, **parse_tags(tags))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
