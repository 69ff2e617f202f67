"""The trials that run before any sampling: the default, known configurations, or arms."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial

from cluster.sampling.agreeing_arms import find_agreeing_arms, find_lone_arm
from searchspaces.codec import encode_values
from searchspaces.json_text import Json
from searchspaces.overrides import encode_defaults
from searchspaces.parameters import (
    Parameter,
    find_parameters,
    is_in_range,
    with_fixed,
)
from searchspaces.space import SearchSpace
from searchspaces.suggestion import config_field, encode_choice, first_value, run_suggest


@dataclass(frozen=True)
class InitialTrial:
    """A configuration to enqueue.

    `parameters` are known to the sampler, `fixed` are values of the Config as JSON. With `whole`,
    `fixed` is the whole configuration, which runs as it is, and the sampler learns nothing of it.
    """

    parameters: Mapping[str, Any]
    fixed: Mapping[str, Json]
    whole: bool = False
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return a text that identifies this configuration, so that none is enqueued twice."""
        return json.dumps([dict(self.parameters), dict(self.fixed)], sort_keys=True)

    @property
    def attributes(self) -> dict[str, Any]:
        """Return the attributes that its trial has in the study."""
        return {
            "initial": self.key,
            "fixed": json.dumps(dict(self.fixed)),
            "whole": self.whole,
            "tags": dict(self.tags),
        }


def plan_initial_trials(
    space: SearchSpace[Any], fixed: Mapping[str, Json], seeds: int
) -> list[InitialTrial]:
    """Return the trials that run before any sampling: the default and known ones, or the arms.

    Every arm runs once before one runs twice; parameters that an arm leaves open are sampled,
    except in trial 0, which takes the default's. Arms that the fixed values make equal are one.
    """
    parameters = find_parameters(space)
    default = encode_defaults(space, fixed)
    named_arms = find_agreeing_arms(space, fixed)
    if not named_arms:
        known = [default]
        for values in (find_lone_arm(space, fixed), *map(encode_values, space.initial_configs)):
            config = {**default, **values, **fixed}
            known += [config] if config not in known else []
        return [make_known_trial(space, config, fixed, parameters) for config in known]
    fixed_arms = [{**arm, **fixed} for arm in named_arms]
    distinct = [n for n, arm in enumerate(fixed_arms) if arm not in fixed_arms[:n]]
    arms = [{name: fixed_arms[n][name] for name in named_arms[n]} for n in distinct]
    planned: list[InitialTrial] = []
    for seed in range(seeds if "seed" in default else 1):
        hidden = {"seed": seed} if "seed" in default else {}
        for arm in arms:
            if planned:
                named, others, _ = to_parameters(space, arm, fixed, parameters)
                planned.append(InitialTrial(named, {**others, **hidden}))
            else:
                whole = {**default, **arm, **hidden}
                planned.append(make_known_trial(space, whole, fixed, parameters))
    return planned


def plan_arm_start(
    space: SearchSpace[Any],
    fixed: Mapping[str, Json],
    arm: Mapping[str, Json],
    start: Mapping[str, Json],
) -> InitialTrial:
    """Return the first trial of an arm that is tuned: the default with the values of the arm."""
    own = {**fixed, **arm}
    whole = {**encode_defaults(space, own), **start}
    return make_known_trial(space, whole, own, find_parameters(space))


def make_known_trial(
    space: SearchSpace[Any],
    config: Mapping[str, Json],
    fixed: Mapping[str, Json],
    parameters: Mapping[str, Parameter],
) -> InitialTrial:
    """Return the trial of a whole configuration.

    Its parameters are enqueued where asking for them gives it, else it runs as it is.
    """
    named, others, is_exact = to_parameters(space, config, fixed, parameters)
    return InitialTrial(named, others) if is_exact else InitialTrial({}, dict(config), whole=True)


def to_parameters(
    space: SearchSpace[Any],
    values: Mapping[str, Json],
    fixed: Mapping[str, Json],
    parameters: Mapping[str, Parameter],
) -> tuple[dict[str, Any], dict[str, Json], bool]:
    """Return Config values as the parameters that `suggest` asks for, and the values it does not.

    Fixed values are in neither. The third says whether nothing else is asked for: neither a
    derived parameter, whose value is not known, nor one whose range lacks the value. What `values`
    lacks takes the default's.
    """
    default = encode_defaults(space, {**fixed, **values})
    named: dict[str, Any] = {}
    unknown: set[str] = set()

    def answer(name: str, distribution: BaseDistribution) -> Any:
        parameter = parameters.get(name)
        own = parameter.field if parameter else config_field(name)
        if own is None or own not in default:
            unknown.add(name)
            return first_value(distribution)
        stored = encode_choice(default[own])
        if own in values and is_in_range(distribution, stored):
            named[name] = stored
        else:
            unknown.add(name)
        return stored

    run_suggest(space, with_fixed(answer, fixed, parameters))
    known = {config_field(name) for name in named} | fixed.keys()
    others = {name: value for name, value in values.items() if name not in known}
    return named, others, not unknown


def can_be_redrawn(trial: FrozenTrial) -> bool:
    """Return whether an initial trial was rejected for sampled values, which can be drawn again.

    An arm is not lost by one infeasible draw of the parameters that it leaves open.
    """
    rejected = "infeasible" in trial.user_attrs and trial.state.is_finished()
    enqueued = trial.system_attrs.get("fixed_params", {})
    return rejected and "initial" in trial.user_attrs and set(trial.params) > set(enqueued)
