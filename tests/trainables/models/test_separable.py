"""Separable networks: sizes, shapes, and blocks compared with plain convolutions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainables.models.separable import Block, DropoutAfter, ParallelKernels, separable_cnn

SMALL: dict[str, Any] = {"stem": 6, "width": 6, "growth": 6, "depths": (1, 2), "halve": (1,)}
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "full": {"convolution": "full"},
    "kernel of 5": {"kernels": (5,)},
    "two kernels": {"kernels": (3, 5)},
    "three kernels": {"kernels": (3, 5, 7)},
    "three full kernels": {"kernels": (3, 5, 7), "convolution": "full"},
    "no batch norm": {"batch_norm": False},
    "skip": {"skip": True},
    "full with skip": {"skip": True, "convolution": "full"},
    "dropout": {"dropout": 0.2},
    "dropout after convolutions": {"dropout": 0.2, "dropout_after": "convolution"},
    "bottleneck": {"convolution": "bottleneck"},
    "bottleneck with skip": {"convolution": "bottleneck", "skip": True, "expansion": 2},
    "flattened map": {"pooled_size": 3},
    "head": {"head": 12},
    "one group": {"depths": (2,), "halve": ()},
    "narrowing": {"growth": -2},
    "grey": {"channels": 1},
    "classes": {"classes": 3},
}


def _parameters(model: nn.Module) -> int:
    return sum(weight.numel() for weight in model.parameters())


def _block(inputs: int, outputs: int, **settings: Any) -> Block:
    chosen: dict[str, Any] = {
        **{"stride": 1, "convolution": "separable", "kernels": (3,), "batch_norm": True},
        **{"skip": False, **settings},
    }
    return Block(inputs, outputs, **chosen)


def test_a_bottleneck_is_wide_inside_and_linear_at_its_end() -> None:
    """As in MobileNetV2 (Sandler et al., 2018, table 1)."""
    block = _block(8, 8, convolution="bottleneck", expansion=6, skip=True)
    wide = 6 * 8
    convolutions, norms = 8 * wide + 9 * wide + wide * 8, 2 * (wide + wide + 8)
    assert _parameters(block) == convolutions + norms
    assert isinstance(block.layers[-1], nn.BatchNorm2d)
    nn.init.zeros_(block.layers[-1].weight)
    images = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(images), images)


@pytest.mark.parametrize(("after", "count"), [("group", 2), ("convolution", 6)])
def test_dropout_follows_groups_or_convolutions(after: DropoutAfter, count: int) -> None:
    model = separable_cnn(**SMALL, dropout=0.1, dropout_after=after)
    assert sum(isinstance(module, nn.Dropout2d) for module in model.modules()) == count


def test_the_defaults_have_the_documented_size() -> None:
    with torch.device("meta"):
        assert _parameters(separable_cnn()) == 137_290


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_every_option_trains(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    settings = {**SMALL, **options}
    channels, classes = settings.get("channels", 3), settings.get("classes", 10)
    model = separable_cnn(**settings)
    images, labels = torch.randn(8, channels, 12, 12), torch.arange(8) % classes
    updates = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0)
    before = [weight.detach().clone() for weight in model.parameters()]
    losses = []
    for _ in range(15):
        logits = model(images)
        assert logits.shape == (8, classes)
        loss = F.cross_entropy(logits, labels)
        updates.zero_grad()
        loss.backward()
        updates.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    moved = [not torch.equal(*pair) for pair in zip(before, model.parameters(), strict=True)]
    assert all(moved)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ({"head": 12}, 12 * 12 + 12 + 12 * 10 + 10 - (12 * 10 + 10)),
        ({"kernels": (5,)}, (25 - 9) * (6 + 6 + 12)),
        ({"kernels": (3, 5)}, (25 - 9) * (3 + 3 + 6)),
        ({"skip": True}, 0),
        ({"dropout": 0.5}, 0),
        # a gain and a bias per channel become a bias of the convolution
        (
            {"batch_norm": False},
            -sum(m.num_features for m in separable_cnn(**SMALL) if isinstance(m, nn.BatchNorm2d))
            - sum(
                m.num_features
                for block in separable_cnn(**SMALL)
                for m in getattr(block, "layers", ())
                if isinstance(m, nn.BatchNorm2d)
            ),
        ),
        ({"halve": ()}, 0),
    ],
)
def test_parameter_counts_of_options(options: dict[str, Any], more: int) -> None:
    assert (
        _parameters(separable_cnn(**{**SMALL, **options})) - _parameters(separable_cnn(**SMALL))
        == more
    )


@pytest.mark.parametrize(("halve", "side"), [((), 12), ((1,), 6), ((0, 1), 3)])
def test_selected_groups_halve_the_resolution(halve: tuple[int, ...], side: int) -> None:
    model = separable_cnn(**{**SMALL, "halve": halve})
    pooling = next(i for i, layer in enumerate(model) if isinstance(layer, nn.AdaptiveAvgPool2d))
    assert model[:pooling](torch.zeros(2, 3, 12, 12)).shape == (2, 12, side, side)


@pytest.mark.parametrize("stride", [1, 2])
def test_a_separable_block_is_a_depthwise_and_a_pointwise_convolution(stride: int) -> None:
    torch.manual_seed(0)
    block = _block(4, 6, stride=stride).eval()
    depthwise, norm, _, pointwise, other, _ = block.layers
    for part in (norm, other):
        part.running_mean.uniform_(-1, 1)
        part.running_var.uniform_(0.5, 2)
    images = torch.randn(2, 4, 8, 8)
    kernels = depthwise.branches[0].weight
    assert kernels.shape == (4, 1, 3, 3)
    # Channel by channel, so that no group convolution is held against itself.
    planes = [F.conv2d(images[:, [c]], kernels[[c]], stride=stride, padding=1) for c in range(4)]
    expected = F.silu(norm(torch.cat(planes, 1)))
    mixed = torch.einsum("oi,nihw->nohw", pointwise.weight[:, :, 0, 0], expected)
    assert torch.allclose(block(images), F.silu(other(mixed)), atol=1e-5)


def test_a_full_block_is_one_convolution() -> None:
    torch.manual_seed(0)
    block = _block(4, 6, convolution="full", kernels=(5,)).eval()
    convolution, norm, _ = block.layers
    images = torch.randn(2, 4, 8, 8)
    mixed = F.conv2d(images, convolution.branches[0].weight, padding=2)
    assert torch.allclose(block(images), F.silu(norm(mixed)), atol=1e-5)


@pytest.mark.parametrize("full", [False, True])
def test_parallel_kernels_are_concatenated(full: bool) -> None:
    torch.manual_seed(0)
    inputs = 8
    layer = ParallelKernels(inputs, 8, (3, 5, 7), stride=2, full=full, bias=False)
    assert layer.shares == [4, 2, 2]
    images = torch.randn(2, inputs, 9, 9)
    found = layer(images)
    assert found.shape == (2, 8, 5, 5)
    start = 0
    for share, branch in zip(layer.shares, layer.branches, strict=True):
        part = images if full else images[:, start : start + share]
        assert torch.allclose(found[:, start : start + share], branch(part), atol=1e-6)
        start += share


@pytest.mark.parametrize(
    ("inputs", "outputs", "stride", "added"), [(4, 4, 1, True), (4, 6, 1, False), (4, 4, 2, False)]
)
def test_the_input_is_added_if_shapes_match(
    inputs: int, outputs: int, stride: int, added: bool
) -> None:
    block = _block(inputs, outputs, stride=stride, skip=True).eval()
    images = torch.randn(2, inputs, 8, 8)
    expected = block.layers(images) + (images if added else 0)
    assert torch.allclose(block(images), expected, atol=1e-6)


def test_without_batch_norm_every_convolution_has_a_bias() -> None:
    block = _block(4, 4, batch_norm=False)
    convolutions = [m for m in block.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(convolutions) == 2
    assert all(convolution.bias is not None for convolution in convolutions)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in block.modules())
