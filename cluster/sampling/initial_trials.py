"""The trials that run before any sampling: the default, known configurations, a grid or arms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cluster.sampling.parameters import config_field, iterate_grid, to_parameters
from searchspaces.space import SearchSpace


@dataclass(frozen=True)
class InitialTrial:
    """A configuration to enqueue: parameters for the study, fixed values, and tags."""

    parameters: Mapping[str, Any]
    fixed: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a text that identifies this configuration, so that none is enqueued twice."""
        return json.dumps([dict(self.parameters), dict(self.fixed)], sort_keys=True)


def plan_initial_trials(
    space: SearchSpace[Any], fixed: Mapping[str, Any], sampler: str, seeds: int
) -> list[InitialTrial]:
    """Return the trials that run before any sampling.

    These are the default and the known configurations, a whole grid, or the arms. Every arm runs
    once before one runs twice; parameters that an arm leaves open are sampled, except in trial 0,
    which takes the default's. Arms that the fixed values make equal are one.
    """
    default = {**asdict(space.config()), **fixed}
    if space.arms:
        repeats = range(seeds if "seed" in default else 1)
        fixed_arms = [{**arm, **fixed} for arm in space.arms]
        distinct = [n for n, arm in enumerate(fixed_arms) if arm not in fixed_arms[:n]]
        arms = [{name: fixed_arms[n][name] for name in space.arms[n]} for n in distinct]
        turns = [(arm, seed) for seed in repeats for arm in arms]
        hidden = [{"seed": seed} if "seed" in default else {} for _, seed in turns]
        first = make_initial_trial(space, {**default, **arms[0], **hidden[0]}, {})
        rest = zip(turns[1:], hidden[1:], strict=True)
        return [first, *(make_initial_trial(space, arm, seed) for (arm, _), seed in rest)]
    known = [
        make_initial_trial(space, {**default, **config}, {})
        for config in ({}, *space.initial_configs)
    ]
    if sampler == "grid":
        first = known[0]
        default_parameters = {
            n: v for n, v in first.parameters.items() if config_field(n) not in fixed
        }
        others = (values for values in iterate_grid(space, fixed) if values != default_parameters)
        return [first, *(InitialTrial(values, {}) for values in others)]
    return known


def make_initial_trial(
    space: SearchSpace[Any], values: Mapping[str, Any], hidden: Mapping[str, Any]
) -> InitialTrial:
    """Return the trial of these Config values; samplers never see the `hidden` ones (seeds)."""
    parameters = to_parameters(space, values)
    fields = {config_field(name) for name in parameters}
    others = {name: value for name, value in values.items() if name not in fields}
    return InitialTrial(parameters, {**others, **hidden})
