"""Which settings a new search starts with, and which ones a resumed search may change."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from cluster.execution.teacher_source import resolve_name
from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.options import Options
from cluster.sampling.grid import iterate_grid
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.schedulers import rungs
from cluster.tuning.same_space import check_same_space, record_space
from searchspaces.codec import encode_values
from searchspaces.json_text import Json
from searchspaces.overrides import encode_defaults
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from trainables.errors import UserError

MAX_GRID = 10_000
"""Configurations of a grid that are tried without --trials."""


def resolve_settings(
    space: SearchSpace[Any], options: Options, ledger: Ledger | None
) -> SearchSettings:
    """Return the settings of a new search or, with its ledger, of one to continue.

    Raises UserError where the user asked for other settings than the search has.
    """
    new = decide_settings(space, options)
    if ledger is None:
        return new
    old = check_same_space(ledger.folder, ledger.settings, space, options.changed_code)
    return merge_settings(ledger.folder, old, _requested_settings(options, new))


def decide_settings(space: SearchSpace[Any], options: Options) -> SearchSettings:
    """Return the settings of a new search: what the user asked for, else what the space says."""
    seeds = options.seeds or space.seeds
    sampler = options.sampler or "tpe"
    reports = options.reports or space.reports
    scheduler = options.scheduler or ("none" if space.arms else "asha")
    fixed = encode_values(options.fixed)
    enqueued = len(plan_initial_trials(space, fixed, seeds))
    if sampler == "grid" and not space.arms:
        enqueued = options.trials or _count_grid(space, fixed)
    trials = enqueued if space.arms or sampler == "grid" else max(space.trials, enqueued)
    first = min(space.min_reports, reports)
    return SearchSettings(
        space=space.name,
        trials=options.trials or trials,
        reports=reports,
        seeds=seeds,
        seed=options.seed or 0,
        sampler=sampler,
        scheduler=scheduler,
        fixed=fixed,
        control=options.control or 0,
        rungs=tuple(rungs(reports, first)) if scheduler == "asha" else (),
        enqueued=enqueued,
        **record_space(space, fixed),
        teacher=resolve_name(options.teacher) if options.teacher else "",
        tracking_uri=options.storage.recorded_tracking_uri,
    )


def _count_grid(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> int:
    """Return the number of configurations of a grid, with the default, which may lie outside."""
    grid = iterate_grid(space, fixed, find_parameters(space))
    default = encode_defaults(space, fixed)
    count = 1
    for _, values in grid:
        count += {**default, **values} != default
        if count > MAX_GRID:
            raise UserError(
                f"--sampler grid: {space.name} has more than {MAX_GRID:,} configurations\n"
                "say how many to try with --trials N, or fix some values with --set"
            )
    return count


def _requested_settings(options: Options, new: SearchSettings) -> dict[str, Any]:
    """Return the settings that the user named, as a new search would have them."""
    names = [f.name for f in fields(SearchSettings)]
    named = {name: getattr(new, name) for name in names if getattr(options, name, None)}
    if options.seed is not None:
        named["seed"] = options.seed
    if options.storage.user_tracking_uri:
        named["tracking_uri"] = new.tracking_uri
    return named


def merge_settings(
    folder: Path, settings: SearchSettings, requested: Mapping[str, Any]
) -> SearchSettings:
    """Return the settings of a resumed search; a larger number of trials extends it.

    Raises UserError that lists every other requested setting that differs.
    """
    requested = json.loads(json.dumps(dict(requested)))
    differing = [
        f"  {name}: {getattr(settings, name)!r} there, {value!r} now"
        for name, value in requested.items()
        if getattr(settings, name) != value and not (name == "trials" and value > settings.trials)
    ]
    if differing:
        raise UserError(
            f"the search in {folder} was started with other settings:\n"
            + "\n".join(differing)
            + "\nleave them out to continue it, or start another search with --fresh"
        )
    return replace(settings, trials=requested.get("trials", settings.trials))
