"""The arms of the reinforcement learning spaces: each is repeated over seeds."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from cluster.sampling.initial_trials import plan_initial_trials
from searchspaces.loading import load_space
from searchspaces.parameters import find_parameters


@pytest.mark.parametrize(
    "name", ["cartpole_dqn", "cartpole_ppo", "lunarlander_dqn", "lunarlander_ppo"]
)
def test_an_arm_has_one_setting_and_several_seeds(name: str) -> None:
    space = load_space(name)
    planned = plan_initial_trials(space, {}, space.seeds)
    settings: dict[str, list[int]] = {}
    for point in planned:
        assert point.parameters.keys() == find_parameters(space).keys()
        setting = str(sorted(point.parameters.items()))
        settings.setdefault(setting, []).append(point.fixed["seed"])
    assert len(settings) == len(space.arms) > 1
    assert all(seeds == list(range(space.seeds)) for seeds in settings.values())
    default = asdict(space.config())
    assert all(default[name] == value for name, value in planned[0].parameters.items())
