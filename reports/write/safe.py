"""Text from elsewhere, made safe: addresses to be printed, names to become folders."""

import re


def to_slug(name: str) -> str:
    """A name as one folder's: letters, digits, `.`, `_` and `-`, never hidden and never empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", name).lstrip(".") or "search"


def escape_markdown(text: str) -> str:
    """Text of others as one line in which markdown reads neither pictures nor HTML."""
    return re.sub(r"<(?=[A-Za-z/!?])", "&lt;", " ".join(text.split())).replace("![", "!\\[")
