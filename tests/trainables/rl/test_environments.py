"""Steps and the end of episodes, seeds, and artifacts of a policy."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from PIL import Image

from trainables.errors import UserError
from trainables.rl import environments
from trainables.rl.environments import FIRST_TRAINING, FIRST_UNSEEN, EpisodeReturns


class Counting(gymnasium.Env[np.ndarray, int]):
    """Shows its seed's last digit and how many steps it has seen; action 1 ends the episode."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[np.ndarray, Any]:
        self.digit, self.count = -1 if seed is None else seed % 10, 0
        return self.seen(), {}

    def step(self, action: int) -> tuple[np.ndarray, float, bool, bool, Any]:
        self.count += 1
        return self.seen(), 10.0 * self.digit + self.count, action == 1, False, {}

    def seen(self) -> np.ndarray:
        return np.array([self.digit, self.count], np.float32)


@pytest.fixture
def counting() -> Iterator[str]:
    name = "Counting-v0"
    gymnasium.register(name, Counting, max_episode_steps=3)
    yield name
    del gymnasium.registry[name]


def test_next_obs_is_the_last_one_of_an_ended_episode(counting: str) -> None:
    returns = EpisodeReturns(2)
    with closing(environments.make_vector_env(counting, 2)) as envs:
        assert environments.get_sizes(envs) == (2, 2)
        envs.reset(seed=[1, 2])
        steps = []
        for actions in ([0, 0], [0, 1], [0, 0]):
            steps.append(environments.step_envs(envs, np.array(actions)))
            returns.add(steps[-1])
    first, second, third = steps
    assert first.obs.tolist() == first.next_obs.tolist() == [[1, 1], [2, 1]]
    # One ends by itself at its second step, the other's time is up at its third.
    assert second.terminated.tolist() == second.dones.tolist() == [False, True]
    assert second.next_obs.tolist() == [[1, 2], [2, 2]]
    assert second.obs.tolist() == [[1, 2], [-1, 0]]
    assert third.terminated.tolist() == [False, False]
    assert third.dones.tolist() == [True, False]
    assert third.next_obs.tolist() == [[1, 3], [-1, 1]]
    assert third.obs.tolist() == [[-1, 0], [-1, 1]]
    assert returns.finished == [21 + 22, 11 + 12 + 13]
    assert returns.mean() == np.mean(returns.finished)


def test_the_mean_return_before_any_episode_has_ended(counting: str) -> None:
    returns = EpisodeReturns(2)
    with closing(environments.make_vector_env(counting, 2)) as envs:
        envs.reset(seed=[1, 2])
        returns.add(environments.step_envs(envs, np.array([0, 0])))
    assert returns.mean() == (11 + 21) / 2


def test_every_episode_runs_from_its_seed_to_its_end(counting: str) -> None:
    def policy(observations: np.ndarray) -> np.ndarray:
        return (observations[:, 1] >= observations[:, 0]).astype(np.int64)

    returns, lengths = environments.play_episodes(counting, policy, [1, 0, 9])
    assert returns.tolist() == [11 + 12, 1, 91 + 92 + 93]
    assert lengths.tolist() == [2, 1, 3]
    assert environments.evaluate_policy(counting, policy, 2) == {
        "mean_return": 12.0,
        "worst_return": 1.0,
    }


def test_training_seeds_are_not_evaluation_seeds() -> None:
    seeds = [
        environments.draw_training_seeds(seed, report, 4) for seed in (0, 1) for report in (0, 1)
    ]
    drawn = {number for some in seeds for number in some if number is not None}
    assert len(drawn) == 16
    assert min(drawn) >= FIRST_TRAINING > FIRST_UNSEEN + environments.UNSEEN


def left(observations: np.ndarray) -> np.ndarray:
    return np.zeros(len(observations), np.int64)


def test_an_episode_is_rendered(tmp_path: Path) -> None:
    environments.render_episode(tmp_path / "episode.gif", "CartPole-v1", left, seed=0)
    with Image.open(tmp_path / "episode.gif") as shown:
        assert shown.size == (300, 200)
        assert shown.n_frames > 1
        assert shown.info["duration"] == 80


def test_unseen_episodes_are_summarized(counting: str, tmp_path: Path) -> None:
    environments.write_unseen_returns(tmp_path / "unseen.md", counting, left)
    # The last digits of 100 seeds are 0 to 9; three steps of 10 d + 1, 2, 3.
    assert "100 greedy episodes of Counting-v0" in (tmp_path / "unseen.md").read_text()
    assert "mean return 141.0 " in (tmp_path / "unseen.md").read_text()


@pytest.mark.parametrize("absent", ["gymnasium", "Box2D", "pygame"])
def test_a_missing_package_is_one_line(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, absent, None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d", raising=False)
    with pytest.raises(UserError, match=r"pip install '\.\[rl\]'"):
        environments.build_ground_truth("LunarLander-v3")
