"""Transitions and n-step returns of the replay buffer, also around its end."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.rl.environments import Step
from trainables.rl.replay import Batch, ReplayBuffer

GAMMA = 0.5


def fill(replay: ReplayBuffer, times: range, ends: dict[int, str] | None = None) -> None:
    """Store steps of one environment: at time t, observation t and reward t, into t + 1."""
    for t in times:
        end = (ends or {}).get(t)
        step = Step(
            obs=np.array([[-1.0]], np.float32),
            next_obs=np.array([[t + 1.0]], np.float32),
            rewards=np.array([float(t)]),
            terminated=np.array([end == "terminated"]),
            dones=np.array([end is not None]),
        )
        replay.add(np.array([[float(t)]], np.float32), np.array([t % 2]), step)


def drawn(replay: ReplayBuffer, n_step: int) -> dict[int, tuple[int, float, float, float]]:
    """Draw until every step is there: time to action, rewards, successor and discount."""
    batch = replay.sample(500, n_step, GAMMA, torch.Generator().manual_seed(0))
    return {
        int(seen): (int(action), float(reward), float(successor), float(discount))
        for seen, action, reward, successor, discount in zip(*_flat(batch), strict=True)
    }


def _flat(batch: Batch) -> list[torch.Tensor]:
    return [values.flatten() for values in batch]


def test_one_step_samples_equal_the_added_ones() -> None:
    replay = ReplayBuffer(8, 1, 1)
    fill(replay, range(5), {2: "terminated", 3: "truncated"})
    assert len(replay) == 5
    assert drawn(replay, 1) == {
        0: (0, 0.0, 1.0, 0.5),
        1: (1, 1.0, 2.0, 0.5),
        2: (0, 2.0, 3.0, 0.0),
        3: (1, 3.0, 4.0, 0.5),
        4: (0, 4.0, 5.0, 0.5),
    }


def test_returns_over_three_steps_stop_at_the_end_of_the_episode() -> None:
    replay = ReplayBuffer(16, 1, 1)
    fill(replay, range(1, 9), {3: "terminated", 6: "truncated"})
    assert drawn(replay, 3) == {
        1: (1, 1 + 2 / 2 + 3 / 4, 4.0, 0.0),
        2: (0, 2 + 3 / 2, 4.0, 0.0),
        3: (1, 3.0, 4.0, 0.0),
        4: (0, 4 + 5 / 2 + 6 / 4, 7.0, 1 / 8),
        5: (1, 5 + 6 / 2, 7.0, 1 / 4),  # its time was up: the state it was left in has a value
        6: (0, 6.0, 7.0, 1 / 2),
        7: (1, 7 + 8 / 2, 9.0, 1 / 4),  # the newest steps have none after them yet
        8: (0, 8.0, 9.0, 1 / 2),
    }


def test_a_full_buffer_keeps_the_newest_and_never_joins_its_ends() -> None:
    replay = ReplayBuffer(4, 1, 1)
    fill(replay, range(10))
    assert len(replay) == 4
    found = drawn(replay, 2)
    assert found.keys() == {6, 7, 8, 9}
    assert found[7] == (1, 7 + 8 / 2, 9.0, 1 / 4)
    assert found[9] == (1, 9.0, 10.0, 1 / 2)


def test_no_return_crosses_a_reset() -> None:
    replay = ReplayBuffer(8, 1, 1)
    fill(replay, range(3))
    replay.mark_reset()
    fill(replay, range(5, 7))
    assert drawn(replay, 3)[1] == (1, 1 + 2 / 2, 3.0, 1 / 4)


def test_environments_are_not_mixed() -> None:
    replay = ReplayBuffer(4, 2, 1)
    for t in range(6):
        rewards = np.array([1.0, 100.0])
        observations = np.array([[t], [t + 50]], np.float32)
        ended = np.array([False, t == 4])
        replay.add(
            observations, np.zeros(2), Step(observations, observations + 1, rewards, ended, ended)
        )
    found = drawn(replay, 2)
    assert found.keys() == {2, 3, 4, 5, 52, 53, 54, 55}
    assert found[4][1] == 1 + 1 / 2
    assert found[54] == (0, 100.0, 55.0, 0.0)
    assert found[53] == (0, 150.0, 55.0, 0.0)


@pytest.mark.parametrize("stored", [3, 11])
def test_a_restored_buffer_continues_identically(stored: int) -> None:
    replay, again = ReplayBuffer(8, 1, 1), ReplayBuffer(8, 1, 1)
    fill(replay, range(stored), {2: "terminated"})
    state = replay.state_dict()
    assert all(len(values) == min(stored, 8) for values in state["steps"].values())
    again.load_state_dict(state)
    for one in (replay, again):
        fill(one, range(stored, stored + 4))
    assert drawn(again, 3) == drawn(replay, 3)
