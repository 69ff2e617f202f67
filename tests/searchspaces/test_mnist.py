"""The models of the MNIST spaces are as large as published, and as the question needs them."""

from __future__ import annotations

import pytest
from torch import nn

from searchspaces import mnist_mlp, mnist_warmup


def _parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_every_arm_is_as_large_as_published() -> None:
    counts = {
        config.model: _parameters(mnist_warmup.network(config))
        for config in (mnist_warmup.Config(**arm) for arm in mnist_warmup.SPACE.arms)
    }
    published = {"mlp": 0.93, "cnn1": 0.17, "cnn2": 0.68}
    assert {name: round(counts[name] / 1e6, 2) for name in published} == published
    assert counts["cnn0"] < 54_000 < min(counts[name] for name in published)


def test_the_perceptron_starts_as_published() -> None:
    net = mnist_mlp.network(mnist_mlp.Config())
    sizes = [layer.out_features for layer in net if isinstance(layer, nn.Linear)]
    assert sizes == [128, 64, 10]
    recipe = mnist_mlp.Config()
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("adam", 1e-4, 2048)
    assert mnist_mlp.SPACE.reports * recipe.epochs == 15


def test_layers_that_would_vanish_are_refused() -> None:
    with pytest.raises(ValueError, match="width=4 halved"):
        mnist_mlp.Config(width=4, depth=4)
