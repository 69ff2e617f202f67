"""The sizes of the models of the MNIST spaces."""

from __future__ import annotations

import pytest
from torch import nn

from searchspaces import mnist_mlp, mnist_warmup
from trainables.tasks import mnist_models
from trainables.tasks.mnist_mlp import Config, build_network


def _parameters(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def test_every_arm_has_the_published_number_of_parameters() -> None:
    counts = {
        config.model: _parameters(mnist_models.build_network(config))
        for config in (mnist_models.Config(**arm) for arm in mnist_warmup.SPACE.arms)
    }
    published = {"mlp": 0.93, "cnn1": 0.17, "cnn2": 0.68}
    assert {name: round(counts[name] / 1e6, 2) for name in published} == published
    assert counts["cnn0"] < 54_000 < min(counts[name] for name in published)


def test_the_default_perceptron_is_the_published_one() -> None:
    net = build_network(Config())
    sizes = [layer.out_features for layer in net if isinstance(layer, nn.Linear)]
    assert sizes == [128, 64, 10]
    recipe = Config()
    assert (recipe.optimizer, recipe.learning_rate, recipe.batch_size) == ("adam", 1e-4, 2048)
    assert mnist_mlp.SPACE.reports * recipe.epochs == 15


def test_a_width_that_cannot_be_halved_is_rejected() -> None:
    with pytest.raises(ValueError, match="width=4 cannot be halved"):
        Config(width=4, depth=4)
