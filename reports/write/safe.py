"""Make text from users and error messages safe in file names, in markdown and in figures."""

import hashlib
import re
import unicodedata

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Characters that reverse the text around them."""
SPECIAL = re.compile(r"[\\`*\[\]|$~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
"""What markdown or GitHub's formulas would take for markup; `_` inside a word is none."""
START = re.compile(r"^(?:#{1,6}(?=\s|$)|[-+](?=\s|$)|-(?=-)|=|>|\d+(?=[.)](?:\s|$)))")
"""What would make a line a heading, a quotation or an item of a list."""


def to_slug(name: str) -> str:
    """Return a name as a folder name of letters, digits, `.`, `_` and `-`.

    It is never hidden or empty.
    """
    return re.sub(r"[^\w.-]+", "-", name).lstrip(".")[:100] or "search"


def to_folder_name(name: str) -> str:
    """Return the name of a folder that no other name has: where the slug differs, with a digest.

    `net[2]` and `net(2)` have the same slug.
    """
    slug = to_slug(name)
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
    return slug if slug == name else f"{slug}-{digest[:6]}"


def to_one_line(text: str) -> str:
    """Return text as one line; characters that cannot be shown or stored are escaped."""
    return _escape_unprintable(" ".join(text.split()))


def _escape_unprintable(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return "".join(
        c.encode("unicode_escape", "backslashreplace").decode()
        if c in BIDI or unicodedata.category(c) in ("Cc", "Cs")
        else c
        for c in line
    )


def shorten(text: str, most: int) -> str:
    """Return text of at most this many characters; the middle of a longer one is `…`."""
    if len(text) <= most:
        return text
    end = (most - 1) // 3
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def escape_markdown(text: str) -> str:
    """Return text as one line that markdown shows as it is, in sentences and in tables."""
    line = SPECIAL.sub(lambda found: f"\\{found[0]}", to_one_line(text))
    return START.sub(lambda found: _escape_start(found[0]), line)


def _escape_start(found: str) -> str:
    return f"{found}\\" if found.isdigit() else f"\\{found}"


def format_code(text: str) -> str:
    """Return text as code in a line of markdown, whatever it contains."""
    line = to_one_line(text) or " "
    fence = "`" * (_count_backticks(line) + 1)
    pad = " " if "`" in (line[0], line[-1]) else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def format_block(text: str, language: str) -> str:
    """Return lines as a block of code in markdown, whatever they contain."""
    lines = [_escape_unprintable(line.expandtabs()) for line in text.splitlines()]
    fence = "`" * max(3, max(map(_count_backticks, lines), default=0) + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def _count_backticks(line: str) -> int:
    return max((len(run) for run in re.findall("`+", line)), default=0)
