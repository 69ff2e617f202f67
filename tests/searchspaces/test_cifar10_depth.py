"""The networks of the depth and gradient spaces: sizes, layers and the published table."""

from __future__ import annotations

import pytest
from torch import nn

from searchspaces import cifar10_depth, cifar10_gradients
from searchspaces.loading import load_space
from searchspaces.overrides import parse_overrides
from trainables.tasks import gradients
from trainables.tasks.residual_depth import Config, build_network

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
def test_every_arm_has_the_published_size_and_depth(arm: dict[str, int]) -> None:
    net = build_network(Config(**arm))
    parameters = sum(weight.numel() for weight in net.parameters())
    assert round(parameters / 1e6, 2) == MILLIONS[arm["blocks"]]
    assert _layers(net) == LAYERS[arm["blocks"]]


def test_every_published_number_has_the_row_of_an_arm() -> None:
    space = cifar10_depth.SPACE
    assert [dict(p.of) for p in space.published] == [dict(arm) for arm in space.arms]
    published = {(p.setting, p.value) for p in space.published}
    assert ("LargeCNN with skips, 30 layers", 0.8034) in published
    assert ("MediumCNN, 22 layers", 0.7418) in published


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
def test_the_depths_of_the_second_comparison_can_be_set(words: list[str], layers: int) -> None:
    values = parse_overrides(load_space("cifar10_depth"), words)
    assert _layers(build_network(Config(**values))) == layers


def test_gradients_are_measured_at_the_documented_depths() -> None:
    layers = {
        arm["depth"]: _layers(gradients.build_network(gradients.Config(**arm)))
        for arm in cifar10_gradients.SPACE.arms
        if not arm["skip"]
    }
    assert layers == {depth: depth for depth in (10, 20, 25, 50)}
    assert cifar10_gradients.SPACE.reports * gradients.Config().batches == 150
