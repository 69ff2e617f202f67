"""Build a Config from values, which `--set name=value` may give."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import math
import typing
from collections.abc import Mapping
from typing import Any

from searchspaces.codec import (
    decode_config,
    describe_type,
    encode_config,
    encode_fields,
    find_types,
    from_text,
    parse,
)
from searchspaces.json_text import Json, is_same
from searchspaces.space import C, SearchSpace
from searchspaces.user_code import describe, find_line, read_message
from trainables.errors import UserError


class InvalidConfigError(UserError):
    """The Config of a space does not accept some values."""


def build_config(space: SearchSpace[C], values: Mapping[str, Any]) -> C:
    """Build a Config from values, or from their JSON.

    What a trial gets now and after a resume is the same: all values go through JSON. Raises
    UserError for an unknown name, InvalidConfigError for a value that the Config does not accept.
    """
    known = list_fields(space)
    for name in values:
        if name not in known:
            raise UserError(
                describe_unknown("hyperparameter", name, known)
                + f"\nthese are the fields of {space.config.__name__} in {space.source_file}"
            )
    try:
        return decode_config(space.config, encode_fields(space.config, values))
    except Exception as error:  # the Config is code of the user
        shown = ", ".join(f"{name}={value!r:.80}" for name, value in values.items())
        raise InvalidConfigError(
            f"{space.name} does not accept {shown or 'its defaults'}: "
            f"{describe_rejection(error, space)}"
        ) from error


def describe_rejection(error: Exception, space: SearchSpace[Any]) -> str:
    """Return why a Config rejects its values: a ValueError is its author's own message."""
    if isinstance(error, ValueError | UserError):
        return read_message(error) or describe(error)
    return describe(error) + find_line(error, space.source_file)


def encode_defaults(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> dict[str, Json]:
    """Return the default configuration as JSON, with some values fixed."""
    return encode_config(build_config(space, fixed))


def is_default(
    space: SearchSpace[Any], fixed: Mapping[str, Any], config: Mapping[str, Json]
) -> bool:
    """Return whether a configuration is the default one but for the fixed values and the seed."""
    seed = {"seed": None}
    return is_same({**config, **seed}, {**encode_defaults(space, fixed), **seed})


def list_fields(space: SearchSpace[Any]) -> list[str]:
    """Return the names of the Config's fields."""
    return sorted(field.name for field in dataclasses.fields(space.config) if field.init)


def describe_fields(space: SearchSpace[Any]) -> dict[str, str]:
    """Return the fields of a space's Config with their types, as text."""
    types = find_types(space.config)
    return {name: describe_type(types[name]) for name in list_fields(space)}


def add_teacher_defaults(space: SearchSpace[Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Add the values that change with a teacher; raises UserError if the space uses none."""
    if space.teacher_defaults is None:
        raise UserError(f"{space.name} uses no teacher: leave --teacher out")
    return {**space.teacher_defaults, **values}


def parse_overrides(space: SearchSpace[Any], assignments: list[str]) -> dict[str, Any]:
    """Parse `name=value` texts by the types of the Config's fields; check them together."""
    types = find_types(space.config)
    known = list_fields(space)
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UserError(f"--set {assignment!r} is not of the form name=value")
        if name not in known:
            raise UserError(describe_unknown("hyperparameter", name, known))
        if name in values:
            raise UserError(f"--set {assignment!r}: {name} has been set before")
        values[name] = parse_value(text, types[name], name)
    build_config(space, values)
    return values


def parse_value(text: str, annotation: Any, name: str) -> Any:
    """Parse the text of a hyperparameter's value by its type; raises UserError."""
    try:
        value = parse(text, annotation)
    except (ValueError, TypeError) as error:
        if choices := _list_choices(annotation):
            raise UserError(f"{name}={text!r}: choose one of {', '.join(choices)}") from error
        wanted = describe_type(annotation)
        as_json = f"\nwrite it as JSON, such as {name}='[1, 2]'" if "[" in wanted else ""
        raise UserError(f"{name}={text!r} is not of type {wanted}{as_json}") from error
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{name}={text!r} is not a finite number")
    return value


def _list_choices(annotation: Any) -> list[str]:
    """Return what the command line takes for a Literal or an enum, nothing for other types."""
    if typing.get_origin(annotation) is typing.Literal:
        return [str(choice) for choice in typing.get_args(annotation)]
    is_enum = isinstance(annotation, type) and issubclass(annotation, enum.Enum)
    return [member.name for member in annotation] if is_enum else []


def parse_params(space: SearchSpace[Any], params: Mapping[str, str]) -> dict[str, Any]:
    """Return the values of a Config from a run's MLflow params; other params are left out.

    Raises UserError for a value that the field cannot have.
    """
    types = find_types(space.config)
    values = {}
    for name in list_fields(space):
        if name in params:
            try:
                values[name] = from_text(params[name], types[name])
            except ValueError as error:
                raise UserError(
                    f"{name}={params[name]!r:.80} is no value of {space.name}: {error}\n"
                    f"the Config in {space.source_file} is not the one that the run was made with"
                ) from error
    return values


def describe_unknown(what: str, name: str, known: list[str]) -> str:
    """Return an error message for an unknown name, with similar and all known ones."""
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    alternatives = " or ".join([", ".join(near[:-1]), near[-1]] if near[1:] else near)
    hint = f"did you mean {alternatives}?\n" if near else ""
    return f"unknown {what} {name!r}: {hint}choose one of {', '.join(known)}"
