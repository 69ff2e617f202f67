"""Street View House Numbers (Netzer et al., 2011), and a synthetic data set like it.

The synthetic images allow a search without the data. Scores on them say nothing about the real
images.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional as F

from trainables.data.source import Arrays, Source

SIZE = 32  # pixels of an image's side
CELL = (64, 44)  # height and width of the cell of one digit
DIGIT_HEIGHT = 48  # in that cell
BLOCK = 256  # images per draw; the last block is cut to size
STROKES = (0, 3, 7, 12)  # added to the font's strokes, in sixths of a pixel of the cell


def draw_images(count: int, seed: int) -> Arrays:
    """Draw `count` house numbers, uint8 N x 3 x 32 x 32, labelled with their middle digits.

    A larger count with the same seed begins with the same images.
    """
    draw = _BlockSampler(torch.Generator().manual_seed(seed))
    blocks = [_draw_block(draw) for _ in range(max(1, -(-count // BLOCK)))]
    images, labels = (torch.cat(part)[:count].numpy() for part in zip(*blocks, strict=True))
    return images, labels


SVHN = Source(
    name="svhn",
    hub="ufldl-stanford/svhn",
    hub_config="cropped_digits",
    shape=(3, SIZE, SIZE),
    classes=tuple("0123456789"),
    synthetic=draw_images,
)


@cache
def _draw_glyphs() -> Tensor:
    """Draw every digit in every stroke width, as coverage in 0..1: strokes x 10 x height x width.

    They are drawn six times as large with Pillow's own font, which is the same on every machine.
    """
    height, width = CELL
    font = ImageFont.load_default(size=6 * 69)
    drawn = []
    for stroke in STROKES:
        for digit in "0123456789":
            canvas = Image.new("L", (6 * width, 6 * height))
            ImageDraw.Draw(canvas).text(
                (3 * width, 3 * height), digit, 255, font, "mm", stroke_width=stroke
            )
            drawn.append(np.asarray(canvas.reduce(6), dtype=np.float32) / 255)
    return torch.from_numpy(np.stack(drawn)).view(len(STROKES), 10, height, width)


class _BlockSampler:
    """Draws random numbers for a block; the first dimension is the image."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(BLOCK, *shape, generator=self.generator)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        return deviation * torch.randn(BLOCK, *shape, generator=self.generator)

    def integers(self, limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, (BLOCK, *shape), generator=self.generator)

    def chance(self, probability: float, *shape: int) -> Tensor:
        return torch.rand(BLOCK, *shape, generator=self.generator) < probability


def _draw_block(draw: _BlockSampler) -> tuple[Tensor, Tensor]:
    digits = draw.integers(10, 3)
    mask = _draw_digits(draw, digits)
    background = _draw_background(draw)
    mean = background.mean((2, 3), keepdim=True)
    # Digits are brighter or darker than the background; a third of the images has low contrast.
    contrast = torch.where(draw.chance(0.33), draw.uniform(0.13, 0.22), draw.uniform(0.22, 0.6))
    is_brighter = draw.uniform(0.2, 0.8) > mean.mean((1, 2, 3))
    step = torch.where(is_brighter, contrast, -contrast).view(-1, 1, 1, 1)
    color = (mean + step + draw.normal(0.04, 3, 1, 1)).clamp(0, 1) + 0.5 * (background - mean)
    shadow = 0.7 * draw.uniform(-1, 0.8).clamp(min=0).view(-1, 1, 1, 1)
    image = torch.lerp(background * (1 - shadow * mask.roll((1, 1), (2, 3))), color, mask)
    image = _blur(image, draw.uniform(0.4, 1.8), draw.uniform(0.8, 1.25))
    image = image + draw.normal(0.012, 3, SIZE, SIZE)
    return (image.clamp(0, 1) * 255).round().byte(), digits[:, 1]


def _draw_digits(draw: _BlockSampler, digits: Tensor) -> Tensor:
    """Draw masks, N x 1 x 32 x 32 in 0..1, of numbers of three digits, N x 3."""
    cells = _draw_glyphs()[draw.integers(len(STROKES), 1), digits]
    # Either neighbor may be missing, as in a number of one or two digits.
    cells[:, ::2] *= draw.chance(0.5, 2)[:, :, None, None]
    number = cells.transpose(1, 2).flatten(2)[:, None]
    height, width = CELL
    tall = DIGIT_HEIGHT / draw.uniform(19, 30)  # the number's pixels per pixel of the image
    wide = tall * draw.uniform(0.9, 1.5)
    angle, slant = draw.normal(0.1), draw.normal(0.12)
    cos, sin = angle.cos(), angle.sin()
    across, down = wide * SIZE / (3 * width), tall * SIZE / height
    first = [across * cos, across * (slant - sin), draw.normal(0.02)]
    second = [down * sin, down * cos, draw.normal(0.05)]
    theta = torch.stack(first + second, 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [BLOCK, 1, SIZE, SIZE], align_corners=False)
    return F.grid_sample(number, grid, align_corners=False)


def _draw_background(draw: _BlockSampler) -> Tensor:
    """Draw backgrounds, N x 3 x 32 x 32 in 0..1: a color, shading, stains and often a frame."""
    saturation = torch.where(draw.chance(0.3), 0.1, 0.025).view(-1, 1, 1, 1)
    light = draw.uniform(0.12, 0.85, 1, 1, 1)
    color = light + saturation * draw.normal(1, 3, 1, 1)
    shading = F.interpolate(draw.normal(0.07, 1, 2, 2), SIZE, mode="bilinear", align_corners=True)
    stains = F.interpolate(draw.normal(0.03, 3, 6, 6), SIZE, mode="bicubic", align_corners=True)
    line = torch.linspace(-1, 1, SIZE)
    side = draw.integers(4, 1, 1, 1)
    angle = side * torch.pi / 2 + draw.normal(0.08, 1, 1, 1)
    outside = angle.cos() * line + angle.sin() * line[:, None] > draw.uniform(0.6, 1.6, 1, 1, 1)
    frame = outside * (draw.normal(0.25, 1, 1, 1) + draw.normal(0.05, 3, 1, 1))
    return (color + shading + stains + frame).clamp(0, 1)


def _blur(images: Tensor, width: Tensor, ratio: Tensor) -> Tensor:
    """Blur image i by a Gaussian of deviation `width[i]` in x and `ratio[i]` times that in y.

    As products with two banded matrices; a convolution with one kernel per image is far slower.
    """
    index = torch.arange(SIZE)
    squares = (index - index[:, None]).square()

    def band(deviation: Tensor) -> Tensor:
        weights = torch.exp(-squares / (2 * deviation.square().view(-1, 1, 1, 1)))
        return weights / weights.sum(3, keepdim=True)

    return band(width * ratio) @ images @ band(width).mT
