"""Build a Config from values, which `--set name=value` may give."""

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
    """Build a Config; raises UserError for an unknown name or an invalid value."""
    known = {f.name for f in dataclasses.fields(space.config)}  # type: ignore[arg-type]
    for name in values:
        if name not in known:
            raise UserError(describe_unknown("hyperparameter", name, sorted(known)))
    try:
        return space.config(**values)
    except (TypeError, ValueError) as error:
        raise UserError(f"{space.name} does not accept {dict(values)}: {error}") from error


def add_teacher_defaults(space: SearchSpace[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Add the values that change with a teacher; raises UserError if the space uses none."""
    if space.teacher_defaults is None:
        raise UserError(f"{space.name} uses no teacher: leave --teacher out")
    return {**space.teacher_defaults, **values}


def parse_overrides(space: SearchSpace[Any], assignments: list[str]) -> dict[str, Any]:
    """Parse `name=value` texts by the types of the Config's fields; check them together."""
    types = typing.get_type_hints(space.config)
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment!r} is not of the form name=value")
        if name not in types:
            raise UserError(describe_unknown("hyperparameter", name, sorted(types)))
        values[name] = _parse(text, types[name], name)
    build_config(space, values)
    return values


def _parse(text: str, annotation: Any, name: str) -> Any:
    origin, choices = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Literal:
        for choice in choices:
            if str(choice) == text:
                return choice
        raise UserError(f"{name}={text!r}: choose one of {', '.join(map(str, choices))}")
    if origin in (typing.Union, UnionType):
        if text.lower() == "none" and NoneType in choices:
            return None
        return _parse(text, next(choice for choice in choices if choice is not NoneType), name)
    if annotation is str:
        return text
    try:
        if annotation is bool:
            return {"true": True, "false": False}[text.lower()]
        if annotation is int:
            return int(text)
        if annotation is float:
            if not math.isfinite(float(text)):
                raise UserError(f"{name}={text!r} is not a finite number")
            return float(text)
        value = json.loads(text)
        return tuple(value) if origin is tuple else value
    except (KeyError, TypeError, ValueError):
        expected = getattr(annotation, "__name__", str(annotation))
        raise UserError(f"{name}={text!r} is not of type {expected}") from None


def parse_params(space: SearchSpace[Any], params: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a Config from a run's MLflow params; other params are left out."""
    known = {field.name for field in dataclasses.fields(space.config)}
    texts = [f"{name}={value}" for name, value in params.items() if name in known]
    return parse_overrides(space, texts)


def describe_unknown(what: str, name: str, known: list[str]) -> str:
    """Return an error message for an unknown name, with similar and all known ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alternatives = " or ".join([", ".join(near[:-1]), near[-1]] if near[1:] else near)
    hint = f"did you mean {alternatives}?\n" if near else ""
    return f"unknown {what} {name!r}: {hint}choose one of {', '.join(known)}"
