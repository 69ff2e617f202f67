"""Write JSON as text that people read, for MLflow's params and for tables, and read it back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

Json = Any
"""None, a bool, a number, a string, a list of these, or a dict of these by strings."""


def to_text(data: Json) -> str:
    """Return JSON as text that people read: a string as it is, unless it looks like a value."""
    if isinstance(data, str):
        is_plain = read_text(data) == data and "\0" not in data and _is_unicode(data)
        return data if is_plain else json.dumps(data)
    if data is None or isinstance(data, bool):
        return str(data)
    return json.dumps(data, ensure_ascii=not _is_unicode(str(data)))


def read_text(text: str) -> Json:
    """Return the JSON that `to_text` has written as a text."""
    known = {"None": None, "True": True, "False": False}
    if text in known:
        return known[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def read_number(text: str) -> Json:
    """Return the number that a person means by a text, else what `read_text` returns."""
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return read_text(text)


def is_same(one: Json, other: Json) -> bool:
    """Return whether two values of JSON are equal, where NaN equals NaN."""
    match one, other:
        case dict(), dict():
            return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
        case list(), list():
            return len(one) == len(other) and all(map(is_same, one, other))
    return bool(one == other or (one != one and other != other))


def find_missing(there: Iterable[Json], here: Sequence[Json]) -> list[Json]:
    """Return the values of JSON that the other ones lack."""
    return [old for old in there if not any(is_same(old, new) for new in here)]


def _is_unicode(text: str) -> bool:
    """Return whether a text can be stored as UTF-8: half of a surrogate pair cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
