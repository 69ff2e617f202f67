"""Values for a Config: checked, and read from `--set name=value`."""

from __future__ import annotations

import dataclasses
import difflib
import json
import math
import typing
from collections.abc import Mapping
from types import NoneType, UnionType
from typing import Any, Literal

from searchspaces.space import C, SearchSpace
from trainables.errors import UserError


def build_config(space: SearchSpace[C], values: Mapping[str, Any]) -> C:
    """Build a Config; an unknown name or a value it can never have is a UserError."""
    known = {f.name for f in dataclasses.fields(space.config)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(unknown_name("hyperparameter", name, sorted(known)))
    try:
        return space.config(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"no {space.name} configuration has {dict(values)}: {error}") from error


def add_teacher_defaults(space: SearchSpace[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Add what comes with a teacher; raises UserError where the space does not learn from one."""
    if space.teacher_defaults is None:
        raise UserError(f"{space.name} learns from no other model: leave --teacher out")
    return {**space.teacher_defaults, **values}


def parse_overrides(space: SearchSpace[Any], assignments: list[str]) -> dict[str, Any]:
    """Read `name=value` texts by the types of the Config's fields, and check them together."""
    types = typing.get_type_hints(space.config)
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment!r} is not of the form name=value")
        if name not in types:
            raise UserError(unknown_name("hyperparameter", name, sorted(types)))
        values[name] = _read(text, types[name], name)
    build_config(space, values)
    return values


def _read(text: str, kind: Any, name: str) -> Any:
    origin, choices = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise UserError(f"{name}={text!r}: choose one of {', '.join(map(str, choices))}")
    if origin in (typing.Union, UnionType):
        if text.lower() == "none" and NoneType in choices:
            return None
        return _read(text, next(choice for choice in choices if choice is not NoneType), name)
    if kind is str:
        return text
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind is int:
            return int(text)
        if kind is float:
            if not math.isfinite(float(text)):
                raise UserError(f"{name}={text!r} is not a finite number")
            return float(text)
        value = json.loads(text)
        return tuple(value) if origin is tuple else value
    except (KeyError, TypeError, ValueError):
        expected = getattr(kind, "__name__", str(kind))
        raise UserError(f"{name}={text!r} is not of type {expected}") from None


def unknown_name(what: str, name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    either = " or ".join([", ".join(near[:-1]), near[-1]] if near[1:] else near)
    hint = f"did you mean {either}?\n" if near else ""
    return f"unknown {what} {name!r}: {hint}there are: {', '.join(known)}"
