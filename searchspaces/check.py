"""Check a space before anything starts: its fields, its Config, and its code.

Every command that loads a space uses `check_space`. Each problem is one message with the value,
the file and the line, so that nothing of it is found out by a trial.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import math
import random
import typing
from collections.abc import Mapping
from typing import Any

from searchspaces.codec import (
    describe_type,
    encode_config,
    encode_values,
    find_types,
    from_json,
    to_json,
)
from searchspaces.json_text import is_same
from searchspaces.overrides import (
    InvalidConfigError,
    build_config,
    describe_unknown,
    list_fields,
)
from searchspaces.space import Published, PublishedOrder, SearchSpace
from searchspaces.user_code import describe, user_code
from trainables.errors import UserError

DRAWS = 16
"""Random configurations that are tried."""


def check_space(space: SearchSpace[Any], fixed: Mapping[str, Any] | None = None) -> None:
    """Raise UserError for the first thing that is wrong with a space and these fixed values.

    Where Optuna is not installed, as where a single configuration trains, `suggest` is not run.
    """
    fixed = fixed or {}
    _check_plain_fields(space)
    _check_config(space)
    _check_values(space)
    _check_feasible(space, fixed)
    if importlib.util.find_spec("optuna"):
        _check_suggest(space, fixed)


def _check_plain_fields(space: SearchSpace[Any]) -> None:
    for name in ("train", "suggest"):
        _require(space, name, callable(getattr(space, name)), "a function")
    for name in ("feasible", "prepare", "restore"):
        value = getattr(space, name)
        _require(space, name, value is None or callable(value), "a function, or None")
    _require(
        space,
        "metric",
        isinstance(space.metric, str) and bool(space.metric.strip()),
        "the name of a metric that `train` reports",
    )
    _require(space, "reads_data", isinstance(space.reads_data, bool), "True or False")
    _require(space, "mode", space.mode in ("min", "max"), '"min" or "max"')
    for name in ("reports", "min_reports", "trials", "seeds"):
        value = getattr(space, name)
        is_count = isinstance(value, int) and not isinstance(value, bool)
        _require(space, name, is_count and 0 < value < 2**31, "a whole number above 0")
    is_count = isinstance(space.tune_arms, int) and not isinstance(space.tune_arms, bool)
    right = is_count and 0 <= space.tune_arms < 2**31
    _require(space, "tune_arms", right, "a whole number, 0 or more")
    for name, amount in _require_mapping(space, "resources", space.resources).items():
        is_amount = isinstance(amount, int | float) and not isinstance(amount, bool)
        right = name in ("cpu", "gpu") and is_amount and 0 <= amount < math.inf
        _require(space, "resources", right, 'numbers for "cpu" and "gpu", not below 0')


def _check_config(space: SearchSpace[Any]) -> None:
    config = space.config
    is_class = isinstance(config, type) and dataclasses.is_dataclass(config)
    _require(space, "config", is_class, "a class with @dataclass(frozen=True)")
    with user_code(f"{config.__name__}(), the default configuration,", space.source_file):
        default, second = config(), config()
    types = _read_types(space)
    for name in list_fields(space):
        value, annotation = getattr(default, name), types[name]
        try:
            again = from_json(to_json(value), annotation)
            problem = "" if again == value or again != again else f"it is read back as {again!r}"
        except (TypeError, ValueError) as error:
            problem = str(error)
        if problem:
            raise UserError(
                f"{config.__name__}.{name} in {space.source_file}: its default {value!r:.80} "
                f"cannot be stored as {describe_type(annotation)}: {problem}\n"
                "annotate the field with the type of its values, such as int | None or "
                "tuple[int, ...]"
            )
        if not is_same(to_json(value), to_json(getattr(second, name))):
            raise UserError(
                f"{config.__name__}.{name} in {space.source_file}: its default differs from "
                f"call to call: {value!r:.80}, then {getattr(second, name)!r:.80}\n"
                "give it a constant; make what differs between trials, such as a name, in `train`"
            )


def _read_types(space: SearchSpace[Any]) -> Mapping[str, Any]:
    """Return the annotations of the Config; raises UserError for one that cannot be read."""
    config = space.config
    try:
        return find_types(config)
    except Exception as error:  # of NameError, SyntaxError, or the code in an annotation
        texts = {f.name: f.type for f in dataclasses.fields(config) if isinstance(f.type, str)}
        named = [f"{name}: {text}" for name, text in texts.items() if _is_meant(text, error)]
        raise UserError(
            f"{config.__name__} in {space.source_file}: the annotation "
            f"{named[0] if named else 'of a field'} cannot be read: {describe(error)}\n"
            "import or define in that file what it names, not only under TYPE_CHECKING"
        ) from error


def _is_meant(annotation: str, error: Exception) -> bool:
    """Return whether an error is that of evaluating an annotation."""
    if isinstance(error, NameError):
        return bool(error.name) and str(error.name) in annotation
    try:
        compile(annotation, "annotation", "eval")
    except SyntaxError:
        return True
    return False


def check_stable(space: SearchSpace[Any], config: Any) -> None:
    """Raise UserError where building a configuration again from its fields changes it.

    A worker builds it from what the ledger has: what `__post_init__` changes must stay the same
    when it runs again.
    """
    before = encode_config(build_config(space, encode_config(config)))
    after = encode_config(build_config(space, before))
    changed = [name for name in before if repr(after[name]) != repr(before[name])]
    if changed:
        name = changed[0]
        raise UserError(
            f"{space.config.__name__} in {space.source_file} changes {name}={before[name]!r:.80} "
            f"to {after[name]!r:.80} when it is built again from its own fields\n"
            "derive such a value in `train`, or in a property"
        )


def _check_values(space: SearchSpace[Any]) -> None:
    """Check the values that a space names: their names are fields, and a Config accepts them."""
    known = list_fields(space)
    names = _require_tuple(space, "compare", space.compare, str)
    arms = _require_tuple(space, "arms", space.arms, Mapping)
    initial = _require_tuple(space, "initial_configs", space.initial_configs, Mapping)
    published = _require_tuple(space, "published", space.published, Published | PublishedOrder)
    numbers = [entry for entry in published if isinstance(entry, Published)]
    orders = [entry for entry in published if isinstance(entry, PublishedOrder)]
    pinned = _require_tuple(space, "pinned", space.pinned, str)
    teacher = space.teacher_defaults
    for number in numbers:
        is_number = isinstance(number.value, int | float) and math.isfinite(number.value)
        texts = (number.setting, number.metric, number.note)
        right = is_number and all(isinstance(text, str) for text in texts)
        _require(space, "published", right, "of finite values, with texts for setting and metric")
    for order in orders:
        right = all(
            isinstance(values, Mapping) and values for values in (order.better, order.worse)
        )
        right = right and isinstance(order.note, str)
        _require(space, "published", right, "of values that were better, and those worse")
    if teacher is not None:
        _require_mapping(space, "teacher_defaults", teacher)
    named = [("compare", name) for name in names]
    named += [("pinned", name) for name in pinned]
    named += [("arms", name) for arm in arms for name in arm]
    named += [("initial_configs", name) for config in initial for name in config]
    named += [("published", name) for number in numbers for name in number.of]
    named += [("published", name) for o in orders for name in (*o.better, *o.worse)]
    named += [("teacher_defaults", name) for name in teacher or ()]
    for field, name in named:
        if name not in known:
            raise UserError(
                f"{field} of {space.name} in {space.source_file}: "
                + describe_unknown("hyperparameter", str(name), known)
            )
    for field, configs in (("arms", arms), ("initial_configs", initial)):
        for values in configs:
            _try_config(space, f"{field} of {space.name}", values)
    _require(space, "arms", all(arms), "values that differ, none of them empty")
    if teacher is not None:
        _try_config(space, f"teacher_defaults of {space.name}", teacher)


def _check_feasible(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> None:
    default = build_config(space, fixed)
    check_stable(space, default)
    find_infeasible(space, default)


def find_infeasible(space: SearchSpace[Any], config: Any) -> str | None:
    """Return why a configuration is infeasible, else None; raises UserError if that fails."""
    if space.feasible is None:
        return None
    with user_code(f"feasible of {space.name}", space.source_file):
        reason = space.feasible(config)
    if reason is not None and not isinstance(reason, str):
        raise UserError(
            f"feasible of {space.name} in {space.source_file} returns {reason!r:.80}, not a "
            "reason as text, or None"
        )
    return reason


def _check_suggest(space: SearchSpace[Any], fixed: Mapping[str, Any]) -> None:
    # Imported here: one configuration trains without Optuna.
    from searchspaces.parameters import find_parameters, with_fixed
    from searchspaces.suggestion import draw_value, run_suggest

    encoded = encode_values(fixed)
    parameters = find_parameters(space)
    draw = random.Random(0)
    for number in range(DRAWS):
        ask = with_fixed(lambda _, range_: draw_value(draw, range_), encoded, parameters)
        values = {**run_suggest(space, ask, number), **encoded}
        try:
            config = build_config(space, values)
        except InvalidConfigError as error:
            _check_types(space, values, error)
            continue  # the Config rejects this draw: it will be infeasible
        check_stable(space, config)
        find_infeasible(space, config)


def _check_types(
    space: SearchSpace[Any], values: Mapping[str, Any], error: InvalidConfigError
) -> None:
    """Raise UserError where `suggest` gives a field a value of another type."""
    types = find_types(space.config)
    for name, value in values.items():
        try:
            from_json(value, types[name])
        except ValueError as problem:
            raise UserError(
                f"suggest of {space.name} returns {name}={value!r:.80}, which "
                f"{space.config.__name__} in {space.source_file} cannot have: {problem}\n"
                "annotate the field with the type of all its values"
            ) from error


def _try_config(space: SearchSpace[Any], what: str, values: Mapping[str, Any]) -> None:
    try:
        build_config(space, values)
    except InvalidConfigError as error:
        raise UserError(f"{what} in {space.source_file}: {error}") from error


def _require(space: SearchSpace[Any], field: str, is_right: bool, expected: str) -> None:
    if not is_right:
        raise UserError(
            f"{field}={getattr(space, field)!r:.80} of the space {space.name} in "
            f"{space.source_file} is not {expected}"
        )


def _require_mapping(space: SearchSpace[Any], field: str, value: Any) -> Mapping[str, Any]:
    right = isinstance(value, Mapping) and all(isinstance(name, str) for name in value)
    _require(space, field, right, "a dict of values by their names")
    return typing.cast("Mapping[str, Any]", value)


def _require_tuple(space: SearchSpace[Any], field: str, value: Any, kind: Any) -> tuple[Any, ...]:
    right = isinstance(value, tuple | list) and all(isinstance(entry, kind) for entry in value)
    wanted = {str: '("a", "b")', Mapping: '({"a": 1}, {"a": 2})'}.get(kind, "(Published(...),)")
    _require(space, field, right, f"a tuple such as {wanted}")
    return tuple(value)
