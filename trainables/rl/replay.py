"""Experience replay (Lin, 1992): a buffer of the last steps of several environments."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.rl.environments import Step


class Batch(NamedTuple):
    """n sampled transitions: `rewards` are n-step returns, and `discounts` are the factors of the
    value of `next_obs`, 0 if the episode terminated."""

    obs: Tensor
    actions: Tensor
    rewards: Tensor
    next_obs: Tensor
    discounts: Tensor


class ReplayBuffer:
    """A ring buffer of the last `rows` steps of each of n environments.

    A row is one step of all environments, so the next step of a row is in the following row. The
    state_dict holds the filled rows only.
    """

    def __init__(self, rows: int, environments: int, inputs: int) -> None:
        shape = (rows, environments)
        self.rows, self.environments = rows, environments
        self.steps = {
            "obs": torch.zeros(*shape, inputs),
            "next_obs": torch.zeros(*shape, inputs),
            "actions": torch.zeros(shape, dtype=torch.uint8),
            "rewards": torch.zeros(shape),
            "terminated": torch.zeros(shape, dtype=torch.bool),
            "dones": torch.zeros(shape, dtype=torch.bool),
        }
        self.filled = self.head = 0

    def __len__(self) -> int:
        return self.filled * self.environments

    def add(self, obs: np.ndarray, actions: np.ndarray, step: Step) -> None:
        """Store one step of each environment in place of the oldest."""
        row = {
            "obs": obs,
            "next_obs": step.next_obs,
            "actions": actions.astype(np.uint8),
            "rewards": step.rewards,
            "terminated": step.terminated,
            "dones": step.dones,
        }
        for name, values in row.items():
            self.steps[name][self.head] = torch.from_numpy(values)
        self.head = (self.head + 1) % self.rows
        self.filled = min(self.filled + 1, self.rows)

    def mark_reset(self) -> None:
        """End all episodes at the last step, because the environments are reset after it."""
        self.steps["dones"][self.head - 1] = True

    def sample(self, count: int, n_step: int, gamma: float, generator: torch.Generator) -> Batch:
        """Sample transitions with n-step returns, shorter at the end of an episode.

        The newest steps have fewer following steps; their returns use those that exist.
        """
        flat = {name: values.flatten(0, 1) for name, values in self.steps.items()}
        drawn = torch.randint(len(self), (count,), generator=generator)
        age, env = drawn // self.environments, drawn % self.environments
        row = (self.head - 1 - age) % self.rows
        first = last = row * self.environments + env
        rewards = flat["rewards"][first]
        discounts = torch.full((count,), gamma)
        for ahead in range(1, n_step):
            continues = ~flat["dones"][last] & (ahead <= age)
            following = (row + ahead) % self.rows * self.environments + env
            rewards = rewards + continues * gamma**ahead * flat["rewards"][following]
            discounts = torch.where(continues, gamma ** (ahead + 1), discounts)
            last = torch.where(continues, following, last)
        return Batch(
            flat["obs"].index_select(0, first),
            flat["actions"][first].long(),
            rewards,
            flat["next_obs"].index_select(0, last),
            discounts * ~flat["terminated"][last],
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the filled rows."""
        steps = {name: values[: self.filled] for name, values in self.steps.items()}
        return {"filled": self.filled, "head": self.head, "steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the filled rows."""
        self.filled, self.head = state["filled"], state["head"]
        for name, values in state["steps"].items():
            self.steps[name][: self.filled] = values
