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
from cluster.sampling.agreeing_arms import find_agreeing_arms, fix_lone_arm
from cluster.sampling.arms import Pair, plan_arms
from cluster.sampling.grid import iterate_grid
from cluster.sampling.initial_trials import plan_initial_trials
from cluster.sampling.schedulers import WITH_RUNGS, rungs
from cluster.tuning.same_space import check_same_space, record_space
from searchspaces.codec import encode_values
from searchspaces.json_text import Json, is_same
from searchspaces.overrides import encode_defaults
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace, get_defaults
from trainables.errors import UserError

TUNE_ARMS = "say how many trials each arm gets with --tune-arms N"
MAX_GRID = 10_000
"""Configurations of a grid that are tried without --trials."""


def resolve_settings(
    space: SearchSpace[Any], options: Options, ledger: Ledger | None
) -> SearchSettings:
    """Return the settings of a new search or, with its ledger, of one to continue.

    Raises UserError where the user asked for other settings than the search has.
    """
    if ledger is None:
        return decide_settings(space, options)
    fixed = {**ledger.settings.fixed, **options.fixed}
    new = decide_settings(space, replace(options, fixed=fixed))
    old = check_same_space(ledger.folder, ledger.settings, space, options.changed_code)
    return merge_settings(ledger.folder, old, _requested_settings(options, new))


def decide_settings(space: SearchSpace[Any], options: Options) -> SearchSettings:
    """Return the settings of a new search: what the user asked for, else what the space says."""
    seeds = options.seeds or space.seeds
    pinned = [name for name in space.pinned if name not in space.compare]
    fixed = encode_values({**get_defaults(space.config, *pinned), **options.fixed})
    fixed = fix_lone_arm(space, fixed)
    has_arms = bool(find_agreeing_arms(space, fixed))
    tune_arms, arms = _decide_arms(space, options, fixed)
    sampler = options.sampler or "tpe"
    reports = options.reports or space.reports
    scheduler = options.scheduler or ("none" if has_arms and not arms else "asha")
    enqueued = len(arms) or len(plan_initial_trials(space, fixed, seeds))
    if sampler == "grid" and not has_arms:
        enqueued = options.trials or _count_grid(space, fixed)
    trials = enqueued if has_arms or sampler == "grid" else max(space.trials, enqueued)
    trials = tune_arms * len(arms) or options.trials or trials
    first = min(space.min_reports, reports)
    return SearchSettings(
        space=space.name,
        trials=trials,
        reports=reports,
        seeds=seeds,
        seed=options.seed or 0,
        sampler=sampler,
        scheduler=scheduler,
        fixed=fixed,
        control=options.control or 0,
        tune_arms=tune_arms,
        arms=arms,
        rungs=tuple(rungs(reports, first)) if scheduler in WITH_RUNGS else (),
        enqueued=enqueued,
        **record_space(space, fixed),
        teacher=resolve_name(options.teacher) if options.teacher else "",
        tracking_uri=options.storage.recorded_tracking_uri,
    )


def _decide_arms(
    space: SearchSpace[Any], options: Options, fixed: Mapping[str, Json]
) -> tuple[int, tuple[Pair, ...]]:
    """Return the trials per arm and the arms, 0 and none where arms are not tuned.

    A space that tunes its arms by default does not where the fixed values leave one arm alone.
    """
    asked = options.tune_arms
    tune_arms = space.tune_arms if asked is None else asked
    if not tune_arms:
        return 0, ()
    arms = plan_arms(space, fixed)
    if len(arms) < 2 and (asked is not None or options.compare):
        raise UserError(
            f"{space.name} has {'one arm' if arms or space.arms else 'no arms'} to tune\n"
            "make arms of hyperparameters with --compare NAME, and do not fix them with --set"
        )
    if len(arms) < 2:
        return 0, ()
    if options.trials:
        raise UserError(f"--trials {options.trials}: {space.name} tunes each arm\n{TUNE_ARMS}")
    return tune_arms, tuple(arms)


def _count_grid(space: SearchSpace[Any], fixed: Mapping[str, Json]) -> int:
    """Return the number of configurations of a grid, with the default, which may lie outside."""
    grid = iterate_grid(space, fixed, find_parameters(space))
    default = encode_defaults(space, fixed)
    count = 1
    for _, values in grid:
        count += not is_same({**default, **values}, default)
        if count > MAX_GRID:
            raise UserError(
                f"--sampler grid: {space.name} has more than {MAX_GRID:,} configurations\n"
                "say how many to try with --trials N, or fix some values with --set"
            )
    return count


def _requested_settings(options: Options, new: SearchSettings) -> dict[str, Any]:
    """Return the settings that the user named, as a new search would have them."""
    names = [f.name for f in fields(SearchSettings)]  # not of the server, which may have moved
    named = {name: getattr(new, name) for name in names if getattr(options, name, None)}
    named |= {"arms": new.arms} if options.compare else {}
    if options.tune_arms is not None:
        named["tune_arms"] = new.tune_arms
    if options.seed is not None:
        named["seed"] = options.seed
    return named


def merge_settings(
    folder: Path, settings: SearchSettings, requested: Mapping[str, Any]
) -> SearchSettings:
    """Return the settings of a resumed search; more trials, or trials per arm, extend it.

    Raises UserError that lists every other requested setting that differs.
    """
    requested = json.loads(json.dumps(dict(requested)))
    before = json.loads(json.dumps({name: getattr(settings, name) for name in requested}))
    if settings.tune_arms and "trials" in requested:
        raise UserError(f"the search in {folder} tunes each arm\n{TUNE_ARMS}")
    size = "tune_arms" if settings.tune_arms else "trials"
    differing = [
        f"  {name}: {before[name]!r} there, {value!r} now"
        for name, value in requested.items()
        if before[name] != value and not (name == size and value > before[name])
    ]
    if differing:
        raise UserError(
            f"the search in {folder} was started with other settings:\n"
            + "\n".join(differing)
            + "\nleave them out to continue it, or start another search with --fresh"
        )
    tune_arms = requested.get("tune_arms", settings.tune_arms)
    if tune_arms > settings.tune_arms:
        return replace(settings, tune_arms=tune_arms, trials=tune_arms * len(settings.arms))
    return replace(settings, trials=requested.get("trials", settings.trials))
