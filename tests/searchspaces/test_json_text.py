"""JSON as text that people read, and that can be stored."""

from __future__ import annotations

import math

from hypothesis import example, given
from hypothesis import strategies as st

from searchspaces.codec import from_text
from searchspaces.json_text import is_same, read_number, read_text, to_text


@given(st.text())
@example("\ud800")
@example("a\0b")
def test_text_that_is_written_can_be_stored_as_utf_8(text: str) -> None:
    written = to_text(text)
    assert "\0" not in written
    assert from_text(written, str) == text
    if not any("\ud800" <= character <= "\udfff" for character in text):
        written.encode()


def test_text_reads_as_people_write_it() -> None:
    for text in ("none", "sgd", "3x3", "a,b", "日本", "C:\\x"):
        assert to_text(text) == text
    assert to_text([8, "a"]) == '[8, "a"]'
    assert [to_text(value) for value in (None, True, 3, 0.5)] == ["None", "True", "3", "0.5"]
    assert to_text("None") == '"None"'


def test_a_text_that_looks_like_a_value_is_quoted_and_read_back() -> None:
    for text in ("None", "True", "1", "1.5", "[1]", '"a"', "NaN"):
        assert to_text(text).startswith('"')
        assert read_text(to_text(text)) == text


def test_a_number_is_read_in_every_notation_of_python() -> None:
    assert [read_number(text) for text in ("3", "1e-3", "a", "[1]")] == [3, 0.001, "a", [1]]


def test_nan_is_the_same_as_nan_at_any_depth() -> None:
    def make(last: object) -> dict[str, object]:
        return {"a": float("nan"), "b": [1, {"c": float("nan")}, last]}

    assert is_same(make(2), make(2.0))
    assert not is_same(make(2), make(3))
    assert not is_same([math.nan], [math.nan, math.nan])
    assert not is_same({"a": math.nan}, {"b": math.nan})
