"""The nets of the depth and gradient questions: sizes, layers and the published table."""

from __future__ import annotations

import pytest
from torch import nn

from searchspaces import cifar10_depth, cifar10_gradients
from searchspaces.cifar10_depth import Config, network
from searchspaces.loading import load_space
from searchspaces.overrides import parse_overrides

MILLIONS = {1: 0.02, 5: 0.11, 7: 0.16}
LAYERS = {1: 6, 5: 22, 7: 30}


def _layers(net: nn.Module) -> int:
    """Count convolutions and dense layers, less the 1x1 ones that only carry a skip."""
    return sum(
        isinstance(layer, nn.Linear)
        or (isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3))
        for layer in net.modules()
    )


@pytest.mark.parametrize("arm", cifar10_depth.SPACE.arms)
def test_every_arm_is_as_large_and_deep_as_published(arm: dict[str, int]) -> None:
    net = network(Config(**arm))
    parameters = sum(weight.numel() for weight in net.parameters())
    assert round(parameters / 1e6, 2) == MILLIONS[arm["blocks"]]
    assert _layers(net) == LAYERS[arm["blocks"]]


def test_published_numbers_stand_in_the_rows_of_their_arms() -> None:
    space = cifar10_depth.SPACE
    assert [dict(p.of) for p in space.published] == [dict(arm) for arm in space.arms]
    found = {(p.setting, p.value) for p in space.published}
    assert ("LargeCNN with skips, 30 layers", 0.8034) in found
    assert ("MediumCNN, 22 layers", 0.7418) in found


@pytest.mark.parametrize(
    ("words", "layers"),
    [
        (["blocks=2"], 10),
        (["blocks=4"], 18),
        (["blocks=13"], 54),
        (["stages=3", "blocks=3"], 20),
        (["stages=3", "blocks=9"], 56),
    ],
)
def test_the_second_published_set_is_within_reach(words: list[str], layers: int) -> None:
    values = parse_overrides(load_space("cifar10_depth"), words)
    assert _layers(network(Config(**values))) == layers


def test_the_gradients_are_watched_at_the_depths_that_are_said() -> None:
    layers = {
        arm["blocks"]: _layers(cifar10_gradients.network(cifar10_gradients.Config(**arm)))
        for arm in cifar10_gradients.SPACE.arms
    }
    assert layers == {2: 10, 4: 18, 6: 26, 12: 50}
    assert cifar10_gradients.SPACE.reports * cifar10_gradients.Config().batches == 150
