"""A pyramid of convolutional blocks as encoder, with a classifier and a mirrored decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

Narrowing = Literal["pool", "stride"]


class NonLocal(nn.Module):
    """Self-attention over positions (Wang et al., 2018, eq. 6, embedded Gaussian).

    Initially the identity, because the last convolution is zero.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(1, channels // 2)
        self.query = nn.Conv2d(channels, inner, 1)
        self.key = nn.Conv2d(channels, inner, 1)
        self.value = nn.Conv2d(channels, inner, 1)
        self.out = nn.Conv2d(inner, channels, 1)
        nn.init.zeros_(self.out.weight)
        if self.out.bias is not None:
            nn.init.zeros_(self.out.bias)

    def forward(self, images: Tensor) -> Tensor:
        query, key, value = (
            embed(images).flatten(2).transpose(1, 2)
            for embed in (self.query, self.key, self.value)
        )
        # The paper does not scale by the width, unlike transformers.
        mixed = F.scaled_dot_product_attention(query, key, value, scale=1.0)
        mixed = mixed.transpose(1, 2).reshape(len(images), -1, *images.shape[2:])
        return images + self.out(mixed)  # type: ignore[no-any-return]


def build_encoder(
    *,
    channels: int = 3,
    filters: int = 16,
    blocks: int = 5,
    depth: int = 2,
    kernel: int = 3,
    dropout: float = 0.25,
    batch_norm: bool = True,
    narrowing: Narrowing = "pool",
    non_local: bool = False,
) -> nn.Sequential:
    """Build blocks of `depth` convolutions; each doubles the channels and halves the resolution.

    (n, channels, h, w) -> (n, filters * 2**(blocks - 1), h / 2**blocks, w / 2**blocks). With
    `non_local`, a non-local block follows the third block (or the last, if there are fewer).
    """
    layers: list[nn.Module] = []
    inputs = channels
    for block in range(blocks):
        outputs = filters * 2**block
        for index in range(depth):
            last = index == depth - 1
            stride = 2 if last and narrowing == "stride" else 1
            layers += _build_convolution(inputs, outputs, kernel, stride, batch_norm, dropout)
            inputs = outputs
        if narrowing == "pool":
            layers.append(nn.MaxPool2d(2))
        if non_local and block == min(2, blocks - 1):
            layers.append(NonLocal(outputs))
    return nn.Sequential(*layers)


def build_classifier(body: nn.Sequential, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Add mean pooling and fully connected layers to an encoder; outputs (n, classes)."""
    layers: list[nn.Module] = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    inputs = count_channels(body)
    for size in hidden:
        layers += [nn.Linear(inputs, size), nn.ReLU(inplace=True)]
        inputs = size
    return nn.Sequential(body, *layers, nn.Linear(inputs, classes))


def build_decoder(
    *, channels: int = 3, filters: int = 16, blocks: int = 5, kernel: int = 3
) -> nn.Sequential:
    """Build the mirror of an encoder: each block doubles the resolution; outputs in [0, 1]."""
    layers: list[nn.Module] = []
    for block in reversed(range(blocks)):
        inputs = filters * 2**block
        outputs = filters * 2 ** max(block - 1, 0)
        layers.append(nn.Upsample(scale_factor=2, mode="nearest"))
        layers += _build_convolution(inputs, outputs, kernel, 1, True, 0.0)
    last = nn.Conv2d(filters, channels, kernel, padding=kernel // 2)
    return nn.Sequential(*layers, last, nn.Sigmoid())


def count_channels(body: nn.Sequential) -> int:
    """Return the number of output channels of an encoder."""
    return max(m.out_channels for m in body if isinstance(m, nn.Conv2d))


def _build_convolution(
    inputs: int, outputs: int, kernel: int, stride: int, batch_norm: bool, dropout: float
) -> list[nn.Module]:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=not batch_norm)
    ]
    if batch_norm:
        layers.append(nn.BatchNorm2d(outputs))
    layers.append(nn.ReLU(inplace=True))
    if dropout > 0:
        layers.append(nn.Dropout(dropout))
    return layers
