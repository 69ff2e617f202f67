"""Convolutional networks of blocks of two convolutions, with and without skip connections.

They include plain and residual CNNs, ResNet32 (He et al., 2016) and pre-activation WideResNets
(Zagoruyko and Komodakis, 2016).
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions with batch norm and ReLU; with `skip`, the input is added.

    If stride or channels change, the skip connection is a 1x1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, skip: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.shortcut = _build_shortcut(inputs, outputs, stride, normed=True) if skip else None

    def forward(self, images: Tensor) -> Tensor:
        out = F.relu(self.first_norm(self.first(images)))
        out = self.second_norm(self.second(out))
        return F.relu(out if self.shortcut is None else out + self.shortcut(images))


class PreActivation(nn.Module):
    """A residual block with batch norm and ReLU before each convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int, skip: bool = True) -> None:
        super().__init__()
        self.first_norm = nn.BatchNorm2d(inputs)
        self.first = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(outputs)
        self.second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.shortcut = _build_shortcut(inputs, outputs, stride, normed=False)

    def forward(self, images: Tensor) -> Tensor:
        active = F.relu(self.first_norm(images))
        # A shortcut that changes the shape takes the activated input, as in the paper.
        identity = images if isinstance(self.shortcut, nn.Identity) else self.shortcut(active)
        out = self.first(active)
        return identity + self.second(F.relu(self.second_norm(out)))  # type: ignore[no-any-return]


def block_cnn(
    *,
    blocks: int | Sequence[int],
    filters: int,
    skip: bool,
    stages: int = 2,
    stem: int = 1,
    widen: int = 1,
    pre_activation: bool = False,
    channels: int = 3,
    classes: int = 10,
) -> nn.Sequential:
    """Build a stem, `stages` of `blocks`, mean pooling and a linear head; outputs (n, classes).

    Stage s has `filters * widen * 2**s` channels; all but the first halve the resolution. The
    network has a layer more than twice its blocks and the `stem` convolutions. `blocks` is their
    number in every stage, or that of each.
    """
    block = PreActivation if pre_activation else Block
    counts = [blocks] * stages if isinstance(blocks, int) else blocks
    first: list[nn.Module] = []
    for inputs in (channels, *[filters] * (stem - 1)):
        first.append(nn.Conv2d(inputs, filters, 3, padding=1, bias=False))
        if not pre_activation:
            first += [nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
    layers: list[nn.Module] = []
    inputs = filters
    for stage, count in enumerate(counts):
        outputs = filters * widen * 2**stage
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            layers.append(block(inputs, outputs, stride, skip))
            inputs = outputs
    if pre_activation:
        layers += [nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)]
    pool: Sequence[nn.Module] = (nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*first, *layers, *pool, nn.Linear(inputs, classes))


def depth_cnn(depth: int, filters: int, skip: bool) -> nn.Sequential:
    """Build a network of two stages that has exactly so many layers, at least six.

    An odd number of blocks gives the first stage one more, an odd `depth` the stem.
    """
    blocks, odd = divmod(depth - 2, 2)
    return block_cnn(
        blocks=(blocks - blocks // 2, blocks // 2), filters=filters, skip=skip, stem=1 + odd
    )


def resnet32(filters: int = 16) -> nn.Sequential:
    """Build the CIFAR ResNet of 32 layers: 0.47 M parameters."""
    return block_cnn(blocks=5, filters=filters, skip=True, stages=3)


def wide_resnet14_2(filters: int = 16) -> nn.Sequential:
    """Build the pre-activation WideResNet of 14 layers and width 2: 0.69 M parameters."""
    return block_cnn(blocks=2, filters=filters, skip=True, stages=3, widen=2, pre_activation=True)


def _build_shortcut(inputs: int, outputs: int, stride: int, normed: bool) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
    return nn.Sequential(projection, nn.BatchNorm2d(outputs)) if normed else projection
