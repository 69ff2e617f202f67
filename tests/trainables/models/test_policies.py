"""Shapes and initial weights of Q-networks and actor-critics."""

from __future__ import annotations

import torch

from trainables.models.policies import ActorCritic, q_network


def test_shapes_and_sizes() -> None:
    observations = torch.zeros(5, 4)
    assert q_network(4, 16, 2)(observations).shape == (5, 2)
    model = ActorCritic(4, 16, 2)
    logits, values = model(observations)
    assert (logits.shape, values.shape) == ((5, 2), (5,))
    assert model(observations.view(1, 5, 4))[1].shape == (1, 5)
    count = 5 * 16 + 17 * 16
    assert sum(p.numel() for p in model.parameters()) == 2 * count + 17 * 2 + 17


def test_the_first_policy_is_nearly_uniform_and_layers_are_orthogonal() -> None:
    torch.manual_seed(0)
    model = ActorCritic(4, 16, 2)
    logits, _ = model(torch.randn(100, 4))
    assert (logits.softmax(1) - 0.5).abs().max() < 0.02
    first = model.actor[0].weight
    assert torch.allclose(first.T @ first, 2 * torch.eye(4), atol=1e-5)
