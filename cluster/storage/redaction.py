"""Keep credentials out of what is printed and written: user names, passwords and tokens."""

from __future__ import annotations

import re

# A user name alone is no secret, but to a web server it may be a token.
CREDENTIALS = re.compile(r"(?:https?://|//[^/\s:@]*:)[^/\s]*@", re.IGNORECASE)
USER = re.compile(r"(?<!/)(//)[^/\s]*@")  # not a path: sqlite:///a@b.db
QUERY = re.compile(
    r"([?&](?:sig|[^=&\s]*(?:key|secret|token|password|signature|credential)[^=&\s]*)=)[^&\s]+",
    re.IGNORECASE,
)


def has_credentials(text: str) -> bool:
    """Return whether an address in a text contains a password or a token."""
    return bool(CREDENTIALS.search(text) or QUERY.search(text))


def redact(text: str) -> str:
    """Return a text with the user names, passwords and tokens of its addresses as `***`."""
    return QUERY.sub(r"\1***", USER.sub(r"\1***@", text))


def first_line(error: BaseException) -> str:
    """Return the first line of an error, redacted, at most 300 characters."""
    text = str(error).strip() or type(error).__name__
    return redact(text.splitlines()[0])[:300]
