"""Plain convolutional networks for photographs and for house numbers."""

from __future__ import annotations

from torch import nn


def convnet(convolutions: int, classes: int, channels: int = 3) -> nn.Sequential:
    """Build a 7x7 stride-2 stem, pairs of 3x3 convolutions, mean pooling and a linear head.

    The stem has 64 channels, the pairs 64, 128, 256 ...; max pooling before each pair halves the
    resolution. (n, channels, h, w) -> (n, classes). Raises ValueError if `convolutions` is even.
    """
    if convolutions < 1 or convolutions % 2 == 0:
        raise ValueError(f"convolutions={convolutions} is not odd: a stem and pairs are needed")
    layers = _convolution(channels, 64, 7, 2)
    inputs = 64
    for pair in range((convolutions - 1) // 2):
        outputs = 64 * 2**pair
        layers += [nn.MaxPool2d(2)]
        layers += _convolution(inputs, outputs, 3, 1) + _convolution(outputs, outputs, 3, 1)
        inputs = outputs
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)
    )


def small_cnn(classes: int = 10, channels: int = 3, dropout: float = 0.0) -> nn.Sequential:
    """Build three convolutions with max pooling (32, 64, 128 channels) for 32x32 images."""
    layers: list[nn.Module] = []
    inputs = channels
    for outputs in (32, 64, 128):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
        layers.append(nn.MaxPool2d(2))
        inputs = outputs
    return nn.Sequential(
        *layers, nn.Flatten(), nn.Dropout(dropout), nn.Linear(128 * 4 * 4, classes)
    )


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]
