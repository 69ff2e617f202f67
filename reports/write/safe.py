"""Make text from users and error messages safe in file names and in markdown."""

import re


def to_slug(name: str) -> str:
    """Return a name as a folder name of letters, digits, `.`, `_` and `-`.

    It is never hidden or empty.
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".") or "search"


def escape_markdown(text: str) -> str:
    """Return text as one line that markdown renders without pictures or HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.split())).replace("![", "!\\[")
