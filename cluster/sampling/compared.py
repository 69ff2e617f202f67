"""Make arms of any hyperparameters of a space: `--compare optimizer,batch_size=32,64`."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable
from typing import Any

from optuna.distributions import CategoricalDistribution

from searchspaces.check import check_space
from searchspaces.codec import find_types
from searchspaces.overrides import describe_unknown, list_fields, parse_value
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from searchspaces.suggestion import decode_choice, encode_choice
from trainables.errors import UserError


def choose_arms(space: SearchSpace[Any], texts: Iterable[str]) -> SearchSpace[Any]:
    """Return a space whose arms are all combinations of the values that the user compares.

    Its trials are divided among the arms unless it has a number per arm. Raises UserError for what
    has no values to compare.
    """
    texts = tuple(texts)
    if not texts:
        return space
    check_space(space)
    compared = parse_compared(space, texts)
    combinations = itertools.product(*compared.values())
    arms = tuple(dict(zip(compared, values, strict=True)) for values in combinations)
    each = space.tune_arms or max(2, space.trials // len(arms))
    return dataclasses.replace(
        space, arms=arms, compare=tuple(compared), tune_arms=each, initial_configs=()
    )


def parse_compared(space: SearchSpace[Any], texts: Iterable[str]) -> dict[str, list[Any]]:
    """Return the compared hyperparameters with their values.

    A text lists names, and names with values: `optimizer,batch_size=32,64,128`. What follows a
    value, up to the next `=`, is another value; a tuple is `[2,3]`. Without values all choices are
    compared.
    """
    types, known = find_types(space.config), list_fields(space)
    given: dict[str, list[str]] = {}
    for text in texts:
        values: list[str] | None = None
        for word in split_words(text):
            name, equals, value = word.partition("=")
            if equals or values is None:
                if name not in known:
                    raise UserError(
                        f"--compare {text}: " + describe_unknown("hyperparameter", name, known)
                    )
                if name in given:
                    raise UserError(f"--compare {text}: {name} is named twice")
                given[name] = [value] if equals else []
                values = given[name] if equals else None
            else:
                values.append(word)
    compared = {
        name: [parse_value(value, types[name], name) for value in values]
        if values
        else list_choices(space, name)
        for name, values in given.items()
    }
    for name, found in compared.items():
        compared[name] = list({encode_choice(value): value for value in found}.values())
    for name, found in compared.items():
        if len(found) < 2:
            raise UserError(f"--compare {name}={found[0]}: one value cannot be compared")
    return compared


def split_words(text: str) -> list[str]:
    """Return the parts of a text between commas that are in no brackets: `1`, `[2,3]`."""
    words, depth = [""], 0
    for character in text:
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            words.append("")
        else:
            words[-1] += character
    return words if depth == 0 else text.split(",")


def list_choices(space: SearchSpace[Any], name: str) -> list[Any]:
    """Return the choices of a categorical hyperparameter; raises UserError for any other."""
    annotation = find_types(space.config)[name]
    for parameter in find_parameters(space).values():
        distribution = parameter.distribution
        if parameter.name == name == parameter.field and isinstance(
            distribution, CategoricalDistribution
        ):
            return [decode_choice(choice, annotation) for choice in distribution.choices]
    raise UserError(
        f"--compare {name}: {space.name} has no list of choices for it\n"
        f"give the values to compare, such as --compare {name}=VALUE,VALUE"
    )
