"""Plain convolutional networks for photographs and for house numbers."""

from __future__ import annotations

from torch import nn

CHANNELS = 64


def convnet(convolutions: int, classes: int, channels: int = 3) -> nn.Sequential:
    """Build a 7x7 stride-2 stem, pairs of 3x3 convolutions, mean pooling and a linear head.

    All have 64 channels, and only the stem halves the resolution: 3, 5 and 7 convolutions have
    90,150, 164,134 and 238,118 parameters with 102 classes. (n, channels, h, w) -> (n, classes).
    Raises ValueError if `convolutions` is even.
    """
    if convolutions < 1 or convolutions % 2 == 0:
        raise ValueError(f"convolutions={convolutions} is not odd: a stem and pairs are needed")
    layers = [*_convolution(channels, 7, 2), nn.ReLU(inplace=True)]
    for _ in range((convolutions - 1) // 2):
        layers += [*_convolution(CHANNELS, 3, 1), nn.ReLU(inplace=True)]
        layers += _convolution(CHANNELS, 3, 1)
    return nn.Sequential(
        *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, classes)
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


def _convolution(inputs: int, kernel: int, stride: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, CHANNELS, kernel, stride, kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(CHANNELS)]
