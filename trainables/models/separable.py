"""Small convolutional networks of groups of separable, bottleneck, parallel-kernel or full blocks.

They include networks like MobileNet (Howard et al., 2017), MobileNetV2 (Sandler et al., 2018),
Inception (Szegedy et al., 2015) and VGG (Simonyan and Zisserman, 2015), so that one search can
combine their elements.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Convolution = Literal["separable", "bottleneck", "full"]
DropoutAfter = Literal["group", "convolution"]


class ParallelKernels(nn.Module):
    """Parallel convolutions of several kernel sizes, each with its share of the output channels.

    Depthwise (inputs = outputs) unless `full`, where each convolution reads all input channels.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernels: Sequence[int],
        stride: int,
        full: bool,
        bias: bool,
    ) -> None:
        super().__init__()
        shares = [outputs // len(kernels)] * len(kernels)
        shares[0] += outputs - sum(shares)
        self.shares = shares
        self.full = full
        self.branches = nn.ModuleList(
            nn.Conv2d(
                inputs if full else share,
                share,
                kernel,
                stride=stride,
                padding=kernel // 2,
                groups=1 if full else share,
                bias=bias,
            )
            for share, kernel in zip(shares, kernels, strict=True)
        )

    def forward(self, images: Tensor) -> Tensor:
        if len(self.branches) == 1:
            return self.branches[0](images)  # type: ignore[no-any-return]
        parts = [images] * len(self.shares) if self.full else images.split(self.shares, dim=1)
        return torch.cat(
            [branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1
        )


class Block(nn.Module):
    """A (parallel) convolution, batch norm and SiLU; if separable, a pointwise one follows.

    An inverted bottleneck has `expansion` times its input channels in between, and no SiLU at its
    end. `dropout` follows every convolution. With `skip`, the input is added if it has the shape
    of the output.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        stride: int,
        convolution: Convolution,
        kernels: Sequence[int],
        batch_norm: bool,
        skip: bool,
        expansion: int = 1,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        full, bias = convolution == "full", not batch_norm
        inverted = convolution == "bottleneck"
        wide = expansion * inputs if inverted else inputs
        middle = outputs if full else wide
        layers: list[nn.Module] = []
        if inverted:
            layers.append(nn.Conv2d(inputs, wide, 1, bias=bias))
            layers += _build_activation(wide, batch_norm, dropout)
        layers.append(ParallelKernels(wide, middle, kernels, stride, full, bias))
        layers += _build_activation(middle, batch_norm, dropout)
        if not full:
            layers.append(nn.Conv2d(middle, outputs, 1, bias=bias))
            layers += _build_activation(outputs, batch_norm, dropout, linear=inverted)
        self.layers = nn.Sequential(*layers)
        self.skip = skip and stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        out = self.layers(images)
        return images + out if self.skip else out  # type: ignore[no-any-return]


def separable_cnn(
    *,
    channels: int = 3,
    classes: int = 10,
    stem: int = 32,
    width: int = 64,
    growth: int = 32,
    depths: Sequence[int] = (1, 2, 2, 2, 1),
    halve: Sequence[int] = (1, 2, 3),
    convolution: Convolution = "separable",
    kernels: Sequence[int] = (3,),
    batch_norm: bool = True,
    skip: bool = False,
    expansion: int = 3,
    dropout: float = 0.0,
    dropout_after: DropoutAfter = "group",
    pooled_size: int = 1,
    head: int = 0,
) -> nn.Sequential:
    """Build stem, groups of blocks, mean pooling and head; (n, channels, h, w) -> (n, classes).

    Group g has `depths[g]` blocks of `width + g * growth` channels, and starts with stride 2 if g
    is in `halve`. 2-d dropout follows each group, or each of their convolutions. The last map is
    averaged to `pooled_size` x `pooled_size` and flattened; `head` is the size of a hidden layer
    after it (0: none). With the defaults the network has 137,290 parameters.
    """
    layers: list[nn.Module] = [
        nn.Conv2d(channels, stem, 3, padding=1, bias=not batch_norm),
        *_build_activation(stem, batch_norm),
    ]
    inside = dropout if dropout_after == "convolution" else 0.0
    inputs = stem
    for group, depth in enumerate(depths):
        outputs = width + group * growth
        for index in range(depth):
            layers.append(
                Block(
                    inputs,
                    outputs,
                    stride=2 if index == 0 and group in halve else 1,
                    convolution=convolution,
                    kernels=kernels,
                    batch_norm=batch_norm,
                    skip=skip,
                    expansion=expansion,
                    dropout=inside,
                )
            )
            inputs = outputs
        if dropout > inside:
            layers.append(nn.Dropout2d(dropout))
    layers += [nn.AdaptiveAvgPool2d(pooled_size), nn.Flatten()]
    inputs *= pooled_size**2
    if head:
        layers += [nn.Linear(inputs, head), nn.SiLU(inplace=True)]
        inputs = head
    return nn.Sequential(*layers, nn.Linear(inputs, classes))


def _build_activation(
    channels: int, batch_norm: bool, dropout: float = 0.0, linear: bool = False
) -> list[nn.Module]:
    """Return what follows a convolution: batch norm, SiLU unless `linear`, and dropout."""
    layers: list[nn.Module] = [nn.BatchNorm2d(channels)] if batch_norm else []
    if not linear:
        layers.append(nn.SiLU(inplace=True))
    return [*layers, nn.Dropout2d(dropout)] if dropout > 0 else layers
