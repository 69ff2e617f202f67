"""Layers, shapes and sizes of the MLP."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.models.mlp import mlp


@pytest.mark.parametrize(
    ("hidden", "parameters"),
    [((), 64 * 10 + 10), ((32,), 65 * 32 + 33 * 10), ((32, 16), 65 * 32 + 33 * 16 + 17 * 10)],
)
def test_sizes(hidden: tuple[int, ...], parameters: int) -> None:
    model = mlp(64, hidden, 10)
    assert sum(weight.numel() for weight in model.parameters()) == parameters
    assert model(torch.zeros(5, 1, 8, 8)).shape == (5, 10)
    assert model(torch.zeros(5, 64)).shape == (5, 10)


def test_dropout_follows_every_hidden_layer_and_no_other() -> None:
    names = [type(layer) for layer in mlp(4, (3, 2), 1, dropout=0.3)]
    hidden = [nn.Linear, nn.ReLU, nn.Dropout]
    assert names == [nn.Flatten, *hidden, *hidden, nn.Linear]
    assert nn.Dropout not in [type(layer) for layer in mlp(4, (3, 2), 1)]


def test_mlp_agrees_with_torchvisions() -> None:
    from torchvision.ops import MLP  # isort: skip

    ours, theirs = mlp(12, (5, 3), 2), MLP(12, [5, 3, 2])
    weights = zip(theirs.parameters(), ours.parameters(), strict=True)
    for their, our in weights:
        their.data.copy_(our.data)
    inputs = torch.randn(7, 12)
    assert torch.allclose(ours(inputs), theirs(inputs), atol=1e-6)
