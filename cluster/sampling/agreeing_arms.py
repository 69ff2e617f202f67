"""The arms of a space that agree with the values that a search fixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from searchspaces.codec import encode_values
from searchspaces.json_text import Json, is_same
from searchspaces.overrides import encode_defaults
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace


def find_agreeing_arms(
    space: SearchSpace[Any], fixed: Mapping[str, Json]
) -> list[dict[str, Json]]:
    """Return the arms of a space that have the fixed values, as JSON; none if one is searched.

    A fixed value that no arm has replaces the value of all.
    """
    arms = _find_matching(space, fixed)
    return [] if _is_searched_alone(space, fixed, arms) else arms


def find_lone_arm(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> dict[str, Json]:
    """Return the only arm that the fixed values leave, as JSON, if it is searched; else nothing.

    Where arms are tuned, one arm is an ordinary search, not a comparison.
    """
    arms = _find_matching(space, fixed)
    return arms[0] if _is_searched_alone(space, fixed, arms) else {}


def fix_lone_arm(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> dict[str, Json]:
    """Return the fixed values with the compared ones of the only arm that they leave."""
    arm = find_lone_arm(space, fixed)
    return {**_compared(space, arm), **fixed}


def _find_matching(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> list[dict[str, Json]]:
    arms = [encode_values(arm) for arm in space.arms]
    default = encode_defaults(space, {}) if arms else {}
    for name, value in fixed.items():
        if name in space.compare or not space.compare:
            arms = [arm for arm in arms if is_same({**default, **arm}[name], value)] or arms
    return arms


def _is_searched_alone(
    space: SearchSpace[Any], fixed: Mapping[str, Json], arms: list[dict[str, Json]]
) -> bool:
    if not (space.tune_arms and len(space.arms) > len(arms) == 1):
        return False
    return bool(find_parameters(space, {**fixed, **_compared(space, arms[0])}))


def _compared(space: SearchSpace[Any], arm: Mapping[str, Json]) -> dict[str, Json]:
    return {name: arm[name] for name in space.compare or arm if name in arm}
