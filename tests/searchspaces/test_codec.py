"""Every value that a Config can hold is read back as it was written, from JSON and from text."""

from __future__ import annotations

import enum
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from searchspaces.codec import (
    decode_config,
    encode_config,
    encode_fields,
    from_json,
    from_text,
    parse,
    to_json,
)
from searchspaces.json_text import to_text


class Norm(enum.Enum):
    BATCH = "batch"
    LAYER = "layer"


class Size(NamedTuple):
    width: int
    depth: int = 2


@dataclass(frozen=True)
class Inner:
    norm: Norm = Norm.BATCH
    sizes: tuple[int, ...] = (8, 8)


TEXTS = st.text(max_size=30) | st.sampled_from(
    [
        "none",
        "None",
        "true",
        "True",
        "1",
        "1.5",
        "NaN",
        "[1]",
        '"a"',
        "{}",
        "",
        " ",
        "$|<[/x]",
        "日本",
    ]
)
INTS = st.integers(-(2**62), 2**62)
FLOATS = st.floats(allow_nan=False)


@st.composite
def inner(draw: st.DrawFn) -> Inner:
    return Inner(draw(st.sampled_from(Norm)), tuple(draw(st.lists(INTS, max_size=4))))


# An annotation, and values that it has.
VALUES: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, INTS),
    (float, FLOATS),
    (str, TEXTS),
    (None, st.none()),
    (int | None, INTS | st.none()),
    (str | None, TEXTS | st.none()),
    (int | str | None, INTS | TEXTS | st.none()),
    (float | int | bool, FLOATS | INTS | st.booleans()),
    (Literal["a", "none", "1", 1, True, None], st.sampled_from(["a", "none", "1", 1, True, None])),
    (tuple[int, ...], st.lists(INTS, max_size=4).map(tuple)),
    (tuple[str, float], st.tuples(TEXTS, FLOATS)),
    (tuple[tuple[int, ...], ...], st.lists(st.lists(INTS).map(tuple)).map(tuple)),
    (tuple[int, ...] | None, st.lists(INTS, max_size=3).map(tuple) | st.none()),
    (list[str], st.lists(TEXTS, max_size=3)),
    (frozenset[int], st.frozensets(INTS, max_size=3)),
    (dict[str, float], st.dictionaries(TEXTS, FLOATS, max_size=3)),
    (dict[int, str], st.dictionaries(INTS, TEXTS, max_size=3)),
    (Norm, st.sampled_from(Norm)),
    (Norm | None, st.sampled_from(Norm) | st.none()),
    (PurePosixPath, st.text("ab/.", max_size=8).map(PurePosixPath)),
    (Inner, inner()),
    (Inner | None, inner() | st.none()),
    (tuple[Inner, ...], st.lists(inner(), max_size=2).map(tuple)),
    (Size, st.builds(Size, INTS, INTS)),
    (np.float32, st.floats(width=32, allow_nan=False).map(np.float32)),
    (Any, INTS | TEXTS | st.booleans() | st.none() | FLOATS),
]


@pytest.mark.parametrize(("annotation", "values"), VALUES, ids=lambda v: str(v)[:30])
@settings(deadline=None)
@given(data=st.data())
def test_a_value_is_read_back_from_json_and_from_text(
    annotation: Any, values: st.SearchStrategy[Any], data: st.DataObject
) -> None:
    value = data.draw(values)
    written = json.loads(json.dumps(to_json(value)))
    for again in (from_json(written, annotation), from_text(to_text(written), annotation)):
        assert again == value
        assert type(again) is type(value)
        assert to_json(again) == to_json(value)


@settings(deadline=None)
@given(st.data())
def test_a_config_of_any_fields_is_read_back(data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(VALUES), max_size=6))
    names = [f"f{number}" for number in range(len(chosen))]
    kind = make_dataclass(
        "Config",
        [(name, annotation) for name, (annotation, _) in zip(names, chosen, strict=True)],
        frozen=True,
    )
    config = kind(*(data.draw(values) for _, values in chosen))
    assert decode_config(kind, json.loads(json.dumps(encode_config(config)))) == config


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("1e-3", float, 0.001),
        ("3", float, 3.0),
        ("64", int, 64),
        ("TRUE", bool, True),
        ("none", int | None, None),
        ("7", int | None, 7),
        ("[4, 4]", tuple[int, ...], (4, 4)),
        ("none", Literal["none", "crop"], "none"),
        ("LAYER", Norm, Norm.LAYER),
        ("a/b", Path, Path("a/b")),
        ("3", str, "3"),
        ('{"norm": "LAYER", "sizes": [2]}', Inner, Inner(Norm.LAYER, (2,))),
    ],
)
def test_people_write_values_without_quotes(text: str, annotation: Any, value: Any) -> None:
    read = parse(text, annotation)
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("data", "annotation", "words"),
    [
        ("a", int, "'a' is not of type int"),
        (1.5, int, "1.5 is not of type int"),
        (True, int, "True is not of type int"),
        (1, bool, "1 is not of type bool"),
        (None, float, "None is not of type float"),
        ("c", Literal["a", "b"], "'c' is not one of a, b"),
        ("OTHER", Norm, "'OTHER' is not one of BATCH, LAYER"),
        ([1, 2], tuple[int], "has 2 values, not 1"),
        ({"sizes": [1, "x"]}, Inner, "sizes: 'x' is not of type int"),
        ({"other": 1}, Inner, "Inner has no field 'other'"),
        ("x", int | None, r"'x' is not of type int \| None"),
        (10**400, float | None, "is not of type float"),
        (10**400, float, "too large for a float"),
        (300, np.int8, "300 out of bounds for int8"),
        (2.5, np.int64, "2.5 is not of type int"),
        ("no", np.bool_, "'no' is not of type bool"),
        (1.5, np.longdouble, "longdouble cannot be read"),
    ],
)
def test_a_value_of_another_type_is_named(data: Any, annotation: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        from_json(data, annotation)


@pytest.mark.parametrize(
    "value", [abs, object(), lambda: 1, np.zeros(3), 1j, int, np.longdouble(1)]
)
def test_a_value_that_cannot_be_written_is_named_with_its_field(value: Any) -> None:
    @dataclass
    class Config:
        f: Any = field(default_factory=lambda: value)

    with pytest.raises(TypeError, match=r"f: .*cannot be written"):
        encode_config(Config())


class Other(enum.Enum):
    BATCH = 1


def test_a_value_that_would_be_another_one_when_it_is_read_is_named() -> None:
    @dataclass(frozen=True)
    class Config:
        norm: Norm | Other = Norm.BATCH
        path: str | Path = "a"

    assert encode_fields(Config, {"norm": Norm.LAYER, "path": "b"}) == {
        **{"norm": "LAYER", "path": "b"}
    }
    for name, value in (("norm", Other.BATCH), ("path", Path("a"))):
        with pytest.raises(TypeError, match=f"{name}: .*would be read back from a file as"):
            encode_fields(Config, {name: value})


def test_numpy_numbers_become_numbers_of_python() -> None:
    assert [to_json(v) for v in (np.float32(1.5), np.int64(3), np.bool_(True), np.str_("a"))] == [
        *(1.5, 3, True, "a")
    ]
    assert math.isnan(to_json(np.float64("nan")))


def test_mappings_and_sequences_by_their_abstract_types() -> None:
    assert from_json([1, 2], tuple) == (1, 2)
    assert from_json({"a": 1}, Mapping[str, int]) == {"a": 1}
