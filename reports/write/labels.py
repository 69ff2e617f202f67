"""The user's text in figures: in one line, short, and in fonts that have its characters.

Text that no installed font has is replaced by a number, which the report explains.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

from matplotlib.font_manager import fontManager
from matplotlib.ft2font import FT2Font

from reports.write.safe import escape_markdown, shorten, to_one_line

BASE = "DejaVu Sans"
"""Comes with matplotlib."""
LONGEST = 40  # characters of a label
LISTED = 60  # replaced names that a report lists
NAME = 200  # characters of one of them

_fonts: ContextVar[tuple[str, ...]] = ContextVar("fonts", default=(BASE,))
_replaced: ContextVar[dict[str, str] | None] = ContextVar("replaced", default=None)


def choose_fonts(texts: Iterable[str]) -> None:
    """Choose the fonts of the following figures: matplotlib's own, and others that texts need."""
    missing = {c for text in texts if not text.isascii() for c in to_one_line(text)}
    missing -= _list_characters(BASE)
    chosen = [BASE]
    for name in _list_fonts() if missing else ():
        if missing & _list_characters(name):
            chosen.append(name)
            missing -= _list_characters(name)
        if not missing:
            break
    _fonts.set(tuple(chosen))


def list_chosen_fonts() -> Sequence[str]:
    """Return the fonts of figures, in the order in which a character is looked for."""
    return _fonts.get()


def to_label(text: str, most: int = LONGEST, instead: str = "") -> str:
    """Return text for a figure, of at most so many characters.

    Where no chosen font has all of its characters, the label is `instead`, or a number in
    brackets, and the names that `collect_replaced` collects explain it.
    """
    line = to_one_line(text)
    if all(any(c in _list_characters(font) for font in _fonts.get()) for c in set(line)):
        label = shorten(line, most)
        return f" {label}" if label.startswith("_") else label  # else not in a legend
    replaced = _replaced.get()
    if replaced is None:
        return shorten(line.encode("ascii", "backslashreplace").decode(), most)
    if line not in replaced:
        replaced[line] = instead or f"[{len(replaced) + 1}]"
    return replaced[line]


@contextmanager
def collect_replaced() -> Iterator[dict[str, str]]:
    """Collect the names that figures show by another label, with that label."""
    replaced: dict[str, str] = {}
    token = _replaced.set(replaced)
    try:
        yield replaced
    finally:
        _replaced.reset(token)


def describe_replaced(replaced: dict[str, str]) -> str:
    """Return which names the labels of figures are for; empty where none was replaced."""
    if not replaced:
        return ""
    shown = [
        f"{escape_markdown(label)} is {escape_markdown(shorten(name, NAME))}"
        for name, label in list(replaced.items())[:LISTED]
    ]
    more = f"; and {len(replaced) - LISTED} more" if len(replaced) > LISTED else ""
    return (
        f"In the figures, {'; '.join(shown)}{more}: no font of this machine has all of their "
        "characters."
    )


@cache
def _list_fonts() -> tuple[str, ...]:
    # Colour fonts cannot be drawn, and the font of last resort has a box for every character.
    names = {font.name for font in fontManager.ttflist}
    return tuple(sorted(name for name in names if not _is_unusable(name)))


def _is_unusable(name: str) -> bool:
    return name == BASE or "Color" in name or name.startswith(("Last Resort", "STIX", "cm"))


@cache
def _list_characters(name: str) -> frozenset[str]:
    paths = [font.fname for font in fontManager.ttflist if font.name == name]
    try:
        codes = FT2Font(paths[0]).get_charmap() if paths else {}
    except (OSError, RuntimeError):  # a damaged font
        codes = {}
    return frozenset(map(chr, codes))
