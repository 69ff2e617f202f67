"""Check that a search is continued with the space that it was started with."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from cluster.ledger.settings import SearchSettings
from cluster.sampling.ranges import describe_range, parameter_to_json
from searchspaces.json_text import Json, find_missing
from searchspaces.overrides import describe_fields
from searchspaces.parameters import find_parameters
from searchspaces.source import hash_sources
from searchspaces.space import SearchSpace
from trainables.errors import UserError

FRESH = "restore the space, or start another search with --fresh"


def record_space(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> dict[str, Any]:
    """Return the settings of a search that describe its space."""
    parameters = find_parameters(space, fixed)
    return {
        "metric": space.metric,
        "mode": space.mode,
        "fields": describe_fields(space),
        "code": hash_sources(space),
        "parameters": {name: parameter_to_json(entry) for name, entry in parameters.items()},
    }


def check_same_space(
    folder: Path, before: SearchSettings, space: SearchSpace[Any], changed_code: bool
) -> SearchSettings:
    """Return the settings of a search with the code and the ranges that it continues with.

    Raises UserError for another metric, mode or Config, whose results do not compare with those
    that the search has, and for changed code unless `changed_code`.
    """
    if not before.fields:
        raise UserError(
            f"the search in {folder} was started with a version of Tunery that does not record "
            "its space\ncontinue it with that version, or start another search with --fresh"
        )
    recorded = json.loads(json.dumps(record_space(space, before.fixed)))
    now = replace(before, **recorded)
    for name in ("metric", "mode"):
        was, is_now = getattr(before, name), getattr(now, name)
        if was != is_now:
            raise UserError(
                f"the search in {folder} has {name} {was!r}, its space now has {is_now!r}\n{FRESH}"
            )
    if differing := _list_changes(before.fields, now.fields, _compare_fields):
        raise UserError(
            f"the search in {folder} was started with another Config:\n"
            + "\n".join(differing)
            + f"\n{FRESH}"
        )
    changed = _list_changes(before.code, now.code, _compare_code)
    # The distributions of a function are no code: ranges that are wider now go on without a word.
    narrower = space.by_value and any(
        _is_narrower(known, now.parameters.get(name)) for name, known in before.parameters.items()
    )
    if (changed or narrower) and not changed_code:
        ranges = _list_changes(before.parameters, now.parameters, _compare_ranges)
        what = "code has" if changed else "ranges have"
        since = time.strftime("%Y-%m-%d %H:%M", time.localtime(before.started))
        raise UserError(
            f"the {what} changed since the search in {folder} was started ({since}):\n"
            + "\n".join([*changed, *ranges])
            + "\nto continue it with the code of now, add --changed-code; new trials may then not "
            "compare with old ones\n"
            "to start another search with it: --fresh"
        )
    return now


def _list_changes(
    before: Mapping[str, Any], now: Mapping[str, Any], compare: Callable[[Any, Any], str]
) -> list[str]:
    """Return a line for each name whose value has changed; a missing one is None."""
    return [
        f"  {name}: {compare(before.get(name), now.get(name))}"
        for name in sorted(before.keys() | now.keys())
        if before.get(name) != now.get(name)
    ]


def _compare_fields(before: str | None, now: str | None) -> str:
    return f"{before or 'no field'} there, {now or 'no field'} now"


def _compare_code(before: str | None, now: str | None) -> str:
    if before is None:
        return "is imported now"
    return "is missing now" if now is None else "has changed"


def _is_narrower(before: Mapping[str, Any], now: Mapping[str, Any] | None) -> bool:
    """Return whether a range lacks values that it had."""
    if now is None or before["type"] != now["type"]:
        return True
    if before["type"] == "categorical":
        return bool(find_missing(before["choices"], now["choices"]))
    form = ("log", "step")
    return (
        any(before.get(name) != now.get(name) for name in form)
        or now["low"] > before["low"]
        or now["high"] < before["high"]
    )


def _compare_ranges(before: Mapping[str, Any] | None, now: Mapping[str, Any] | None) -> str:
    there, here = ("not searched" if r is None else describe_range(r) for r in (before, now))
    return f"{there} there, {here} now"
