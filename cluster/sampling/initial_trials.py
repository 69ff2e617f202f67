"""What a search runs before any sampling: the default, known configurations, a grid or arms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.sampling.parameters import config_field, iterate_grid, to_parameters
from searchspaces.space import SearchSpace


@dataclass(frozen=True)
class InitialTrial:
    """A configuration to enqueue: parameters that the study is told, fixed values, and tags."""

    parameters: Mapping[str, Any]
    fixed: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Tell this configuration from all others, so that none is enqueued twice."""
        return json.dumps([dict(self.parameters), dict(self.fixed)], sort_keys=True)


def plan_initial_trials(
    space: SearchSpace[Any], fixed: Mapping[str, Any], kind: str, seeds: int
) -> list[InitialTrial]:
    """List what runs before any sampling: the default, known configurations, a grid or arms.

    Arms take turns, so that every arm has run once before one runs twice; what an arm leaves
    open is sampled, but for trial 0, which is the default. Arms that the fixed values make equal
    are one.
    """
    default = {**asdict(space.config()), **fixed}
    if space.arms:
        repeats = range(seeds if "seed" in default else 1)
        whole = [{**arm, **fixed} for arm in space.arms]
        different = [n for n, values in enumerate(whole) if values not in whole[:n]]
        arms = [{name: whole[n][name] for name in space.arms[n]} for n in different]
        turns = [(arm, seed) for seed in repeats for arm in arms]
        hidden = [{"seed": seed} if "seed" in default else {} for _, seed in turns]
        first = make_initial_trial(space, {**default, **arms[0], **hidden[0]}, {})
        rest = zip(turns[1:], hidden[1:], strict=True)
        return [first, *(make_initial_trial(space, arm, seed) for (arm, _), seed in rest)]
    known = [
        make_initial_trial(space, {**default, **start}, {})
        for start in ({}, *space.initial_configs)
    ]
    if kind == "grid":
        first = known[0]
        asked = {n: v for n, v in first.parameters.items() if config_field(n) not in fixed}
        others = (values for values in iterate_grid(space, fixed) if values != asked)
        return [first, *(InitialTrial(values, {}) for values in others)]
    return known


def make_initial_trial(
    space: SearchSpace[Any], values: Mapping[str, Any], hidden: Mapping[str, Any]
) -> InitialTrial:
    """Make a point from Config values; `hidden` ones, like seeds, no sampler sees."""
    named = to_parameters(space, values)
    fields = {config_field(name) for name in named}
    outside = {name: value for name, value in values.items() if name not in fields}
    return InitialTrial(named, {**outside, **hidden})
