"""Experience replay (Lin, 1992): the last steps of several environments, drawn at random."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from trainables.rl.environments import Step


class Batch(NamedTuple):
    """n drawn steps; `rewards` are summed and discounted over several, `discounts` what the
    value of `successors` counts, 0 where the episode was over."""

    obs: Tensor
    actions: Tensor
    rewards: Tensor
    next_obs: Tensor
    discounts: Tensor


class ReplayBuffer:
    """A ring of the last `rows` steps of each of n environments.

    A row is one step of all of them, so a step's next is in the row after it. What is saved is
    only what was filled.
    """

    def __init__(self, rows: int, environments: int, inputs: int) -> None:
        shape = (rows, environments)
        self.rows, self.environments = rows, environments
        self.steps = {
            "observations": torch.zeros(*shape, inputs),
            "successors": torch.zeros(*shape, inputs),
            "actions": torch.zeros(shape, dtype=torch.uint8),
            "rewards": torch.zeros(shape),
            "terminated": torch.zeros(shape, dtype=torch.bool),
            "ended": torch.zeros(shape, dtype=torch.bool),
        }
        self.filled = self.head = 0

    def __len__(self) -> int:
        return self.filled * self.environments

    def add(self, observations: np.ndarray, actions: np.ndarray, step: Step) -> None:
        """Store one step of each environment over the oldest."""
        row = {
            "observations": observations,
            "successors": step.next_obs,
            "actions": actions.astype(np.uint8),
            "rewards": step.rewards,
            "terminated": step.terminated,
            "ended": step.dones,
        }
        for name, values in row.items():
            self.steps[name][self.head] = torch.from_numpy(values)
        self.head = (self.head + 1) % self.rows
        self.filled = min(self.filled + 1, self.rows)

    def mark_reset(self) -> None:
        """Let no return run on from the last step: the environments are reset after it."""
        self.steps["ended"][self.head - 1] = True

    def sample(self, count: int, n_step: int, gamma: float, generator: torch.Generator) -> Batch:
        """Draw steps with their returns over `n_step` steps, or as many as the episode has left.

        The newest steps, which have fewer after them, count what there is.
        """
        many = self.environments
        places = {name: values.flatten(0, 1) for name, values in self.steps.items()}
        drawn = torch.randint(len(self), (count,), generator=generator)
        age, env = drawn // many, drawn % many
        row = (self.head - 1 - age) % self.rows
        first = last = row * many + env
        rewards = places["rewards"][first]
        discounts = torch.full((count,), gamma)
        for ahead in range(1, n_step):
            goes_on = ~places["ended"][last] & (ahead <= age)
            following = (row + ahead) % self.rows * many + env
            rewards = rewards + goes_on * gamma**ahead * places["rewards"][following]
            discounts = torch.where(goes_on, gamma ** (ahead + 1), discounts)
            last = torch.where(goes_on, following, last)
        return Batch(
            places["observations"].index_select(0, first),
            places["actions"][first].long(),
            rewards,
            places["successors"].index_select(0, last),
            discounts * ~places["terminated"][last],
        )

    def state_dict(self) -> dict[str, Any]:
        """Give what was filled."""
        steps = {name: values[: self.filled] for name, values in self.steps.items()}
        return {"filled": self.filled, "head": self.head, "steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what was filled."""
        self.filled, self.head = state["filled"], state["head"]
        for name, values in state["steps"].items():
            self.steps[name][: self.filled] = values
