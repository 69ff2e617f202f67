"""Write the values of a Config as JSON and as text, and read them back by their annotations.

The ledger, the journal of the study and checkpoints keep JSON; MLflow's params keep text.
"""

from __future__ import annotations

import contextlib
import dataclasses
import enum
import functools
import json
import types
import typing
from collections.abc import Hashable, Mapping, Sequence, Set
from pathlib import PurePath
from typing import Any, Literal, TypeVar

import numpy as np

from searchspaces.json_text import Json, read_number, read_text, to_text

T = TypeVar("T")
SCALARS = (bool, int, float, str, types.NoneType)


def to_json(value: Any) -> Json:
    """Return a value as JSON; raises TypeError for a value that cannot be written.

    An enum is its name, a path its text, a NumPy scalar a Python number, a dataclass a dict of its
    fields, any sequence or set a list.
    """
    if isinstance(value, enum.Enum):
        return value.name
    if type(value) in SCALARS:
        return value
    if isinstance(value, np.generic) and type(value.item()) in SCALARS:
        return value.item()
    if isinstance(value, PurePath):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return encode_config(value)
    if isinstance(value, Mapping):
        return {
            key if isinstance(key, str) else to_text(to_json(key)): to_json(entry)
            for key, entry in value.items()
        }
    if isinstance(value, list | tuple):
        return [to_json(entry) for entry in value]
    if isinstance(value, Set):
        return sorted((to_json(entry) for entry in value), key=json.dumps)
    for scalar in (str, int, float):  # a class derived from one, such as numpy.str_
        if isinstance(value, scalar):
            return scalar(value)
    raise TypeError(
        f"{value!r:.80} is a {type(value).__name__}, which cannot be written to a file: use a "
        "number, a string, a bool, None, an enum, a path, a dataclass, or a tuple or dict of these"
    )


def from_json(data: Json, annotation: Any) -> Any:
    """Return the value of an annotation that JSON stands for; raises ValueError where none is."""
    annotation = getattr(annotation, "__supertype__", annotation)  # a NewType
    annotation = getattr(annotation, "__value__", annotation)  # a type alias
    if annotation in (Any, object) or isinstance(annotation, TypeVar):
        return data
    if annotation in (None, types.NoneType):
        return _require(data, data is None, annotation)
    origin, parts = typing.get_origin(annotation) or annotation, typing.get_args(annotation)
    if origin is Literal:
        for choice in parts:
            written = to_json(choice)
            if type(written) is type(data) and written == data:
                return choice
        raise ValueError(f"{data!r} is not one of {', '.join(map(str, parts))}")
    if origin in (typing.Union, types.UnionType):
        return _from_union(data, parts)
    if not isinstance(origin, type):
        raise ValueError(f"values of {annotation} cannot be read from a file")
    if origin is int and type(data) is float and data.is_integer():
        return int(data)
    if origin in (bool, int, str):
        return _require(data, type(data) is origin, origin)
    if origin is float:
        return _to_float(_require(data, type(data) in (int, float), origin))
    if issubclass(origin, enum.Enum):
        return _require_name(data, origin)
    if issubclass(origin, PurePath):
        return origin(_require(data, type(data) is str, origin))
    if issubclass(origin, np.generic):
        return _to_numpy(data, origin)
    if dataclasses.is_dataclass(origin):
        return decode_config(origin, _require(data, isinstance(data, dict), origin))
    if issubclass(origin, Mapping):
        key, entry = parts or (str, Any)
        data = _require(data, isinstance(data, dict), origin)
        plain = key in (str, Any)
        return {k if plain else from_text(k, key): from_json(v, entry) for k, v in data.items()}
    if issubclass(origin, Sequence | Set):
        return _from_list(_require(data, isinstance(data, list), origin), origin, parts)
    raise ValueError(f"values of type {origin.__name__} cannot be read from a file")


def find_types(config: type[Any]) -> Mapping[str, Any]:
    """Return the annotation of each field of a dataclass; raises what an annotation raises."""
    return _find_types(typing.cast("Hashable", config))


@functools.cache
def _find_types(config: Any) -> Mapping[str, Any]:
    return typing.get_type_hints(config)


def encode_config(config: Any) -> dict[str, Json]:
    """Return the fields of a dataclass as JSON; raises TypeError, naming the field."""
    fields = dataclasses.fields(config)
    return encode_values({f.name: getattr(config, f.name) for f in fields if f.init})


def encode_values(values: Mapping[str, Any]) -> dict[str, Json]:
    """Return values by name as JSON; raises TypeError, naming the one that cannot be written."""
    encoded = {}
    for name, value in values.items():
        try:
            encoded[name] = to_json(value)
        except TypeError as error:
            raise TypeError(f"{name}: {error}") from None
    return encoded


def encode_fields(config: type[Any], values: Mapping[str, Any]) -> dict[str, Json]:
    """Return values of some fields as JSON; raises TypeError for one that would change.

    A field of type `A | B`, where both have the same JSON, is read back as an A: a B must not be
    stored there. Names that are no fields are not checked.
    """
    encoded = encode_values(values)
    annotations = find_types(config)
    for name, value in values.items():
        if name not in annotations or _equals(encoded[name], value):
            continue
        with contextlib.suppress(ValueError):  # not of that type: the Config says so
            again = from_json(encoded[name], annotations[name])
            if not _equals(again, value):
                raise TypeError(
                    f"{name}: {value!r:.80} would be read back from a file as {again!r:.80}: "
                    "annotate the field so that its types cannot be mistaken for each other"
                )
    return encoded


def _equals(one: Any, two: Any) -> bool:
    return bool(one == two) or (one != one and two != two)  # NaN equals NaN here


def decode_config(config: type[T], encoded: Mapping[str, Json]) -> T:
    """Build a dataclass from its fields as JSON; raises ValueError, naming the field."""
    return config(**decode_fields(config, encoded))


def decode_fields(config: type[Any], encoded: Mapping[str, Json]) -> dict[str, Any]:
    """Return the values of some fields from JSON; raises ValueError, naming the field."""
    annotations = find_types(config)
    values = {}
    for name, data in encoded.items():
        if name not in annotations:
            raise ValueError(f"{config.__name__} has no field {name!r}")
        try:
            values[name] = from_json(data, annotations[name])
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return values


def from_text(text: str, annotation: Any) -> Any:
    """Return the value of an annotation from the text that `to_text` has written.

    Raises ValueError where the text is not of that type.
    """
    try:
        return from_json(read_text(text), annotation)
    except ValueError:
        return from_json(text, annotation)


def parse(text: str, annotation: Any) -> Any:
    """Return the value of an annotation that a person means by a text; raises ValueError.

    A string needs no quotes; `none`, `true` and `false` may have capitals.
    """
    if annotation is str:
        return text
    parts = typing.get_args(annotation)
    if typing.get_origin(annotation) in (Literal, typing.Union, types.UnionType):
        if typing.get_origin(annotation) is Literal:
            for choice in parts:
                if str(choice) == text:
                    return choice
        elif types.NoneType in parts and text.lower() == "none":
            return None
    lower = text.strip().lower()
    known = {"true": True, "false": False, "none": None}
    try:
        return from_json(known[lower] if lower in known else read_number(text), annotation)
    except ValueError:
        return from_text(text, annotation)


def _from_union(data: Json, parts: tuple[Any, ...]) -> Any:
    # The first type that gives the same JSON again: 3 is an int in `float | int`.
    readable = []
    for part in parts:
        try:
            value = from_json(data, part)
        except ValueError:
            continue
        if json.dumps(to_json(value)) == json.dumps(data):
            return value
        readable.append(value)
    if readable:
        return readable[0]
    raise ValueError(f"{data!r} is not of type {' | '.join(map(describe_type, parts))}")


def _from_list(data: list[Json], origin: type[Any], parts: tuple[Any, ...]) -> Any:
    if issubclass(origin, tuple) and hasattr(origin, "_fields"):  # a NamedTuple
        return origin(
            *decode_fields(origin, dict(zip(origin._fields, data, strict=True))).values()
        )
    if issubclass(origin, tuple) and parts and parts[-1] is not Ellipsis:
        if len(parts) != len(data):
            raise ValueError(f"{data!r} has {len(data)} values, not {len(parts)}")
        return tuple(from_json(entry, part) for entry, part in zip(data, parts, strict=True))
    values = [from_json(entry, parts[0] if parts else Any) for entry in data]
    if not parts:
        values = [tuple(entry) if isinstance(entry, list) else entry for entry in values]
    if issubclass(origin, list):
        return values
    if issubclass(origin, Set):
        return frozenset(values) if origin is not set else set(values)
    return tuple(values)


def _require(data: Json, is_right: bool, kind: Any) -> Json:
    if not is_right:
        raise ValueError(f"{data!r} is not of type {describe_type(kind)}")
    return data


def _to_float(number: int | float) -> float:
    try:
        return float(number)
    except OverflowError:
        raise ValueError(f"{number!s:.40}... is too large for a float") from None


def _to_numpy(data: Json, kind: type[np.generic]) -> np.generic:
    plain = type(np.zeros((), kind).item())
    if plain not in SCALARS:  # numpy.longdouble: Python has no such number
        raise ValueError(f"values of type {kind.__name__} cannot be read from a file")
    try:
        return kind(from_json(data, plain))
    except OverflowError as error:
        raise ValueError(str(error)) from None


def _require_name(data: Json, kind: type[enum.Enum]) -> enum.Enum:
    if isinstance(data, str) and data in kind.__members__:
        return kind[data]
    raise ValueError(f"{data!r} is not one of {', '.join(kind.__members__)}")


def describe_type(annotation: Any) -> str:
    """Return an annotation as people write it: `int`, `tuple[int, ...]`, `str | None`."""
    if annotation in (None, types.NoneType):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")
