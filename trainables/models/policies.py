"""Networks of reinforcement learning: a Q-network, and an actor with a critic."""

from __future__ import annotations

import math

from torch import Tensor, nn

from trainables.models.mlp import mlp


def q_network(inputs: int, width: int, actions: int) -> nn.Sequential:
    """Build an MLP with two hidden layers; obs (n, inputs) -> Q values (n, actions)."""
    return mlp(inputs, (width, width), actions)


class ActorCritic(nn.Module):
    """Two separate MLPs: logits of the actions, and the value of the state."""

    def __init__(self, inputs: int, width: int, actions: int) -> None:
        super().__init__()
        # A nearly uniform initial policy explores (Andrychowicz et al., 2021).
        self.actor = tanh_mlp(inputs, width, actions, last_gain=0.01)
        self.critic = tanh_mlp(inputs, width, 1, last_gain=1.0)

    def forward(self, obs: Tensor) -> tuple[Tensor, Tensor]:
        """Map obs (n, inputs) to logits (n, actions) and values (n,)."""
        return self.actor(obs), self.critic(obs).squeeze(-1)


def tanh_mlp(inputs: int, width: int, outputs: int, last_gain: float) -> nn.Sequential:
    """Build two tanh layers and an output; orthogonal weights (Saxe et al., 2014), zero biases."""
    layers = [nn.Linear(inputs, width), nn.Linear(width, width), nn.Linear(width, outputs)]
    for layer, gain in zip(layers, (math.sqrt(2), math.sqrt(2), last_gain), strict=True):
        nn.init.orthogonal_(layer.weight, gain)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
