"""Street View House Numbers (Netzer et al., 2011), and street numbers drawn to stand in for them.

The drawn ones exist so that everything can be tried without the data; a score on them says
nothing about the real ones.
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
TALL = 48  # height of a digit in it
BLOCK = 256  # images drawn at once: what is wanted of the last block is cut off
STROKES = (0, 3, 7, 12)  # how much bolder than the font, in sixths of a cell's pixel


def draw_images(count: int, seed: int) -> Arrays:
    """Draw that many street numbers, uint8 N x 3 x 32 x 32, with their middle digits as labels.

    A longer run with the same seed begins with the same images.
    """
    dice = _Dice(torch.Generator().manual_seed(seed))
    blocks = [_block(dice) for _ in range(max(1, -(-count // BLOCK)))]
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
def _glyphs() -> Tensor:
    """Give every digit in every weight as coverage in 0..1, weights x 10 x height x width.

    Drawn six times as large with the font that Pillow brings, so that it looks the same on
    every machine.
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


class _Dice:
    """Random numbers for one block, with the block's length as first dimension."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(BLOCK, *shape, generator=self.generator)

    def normal(self, deviation: float, *shape: int) -> Tensor:
        return deviation * torch.randn(BLOCK, *shape, generator=self.generator)

    def below(self, limit: int, *shape: int) -> Tensor:
        return torch.randint(limit, (BLOCK, *shape), generator=self.generator)

    def chance(self, probability: float, *shape: int) -> Tensor:
        return torch.rand(BLOCK, *shape, generator=self.generator) < probability


def _block(dice: _Dice) -> tuple[Tensor, Tensor]:
    digits = dice.below(10, 3)
    ink = _ink(dice, digits)
    wall = _wall(dice)
    mean = wall.mean((2, 3), keepdim=True)
    # Paint is brighter or darker than the wall, in a third of the images by little.
    contrast = torch.where(dice.chance(0.33), dice.uniform(0.13, 0.22), dice.uniform(0.22, 0.6))
    up = dice.uniform(0.2, 0.8) > mean.mean((1, 2, 3))
    step = torch.where(up, contrast, -contrast).view(-1, 1, 1, 1)
    paint = (mean + step + dice.normal(0.04, 3, 1, 1)).clamp(0, 1) + 0.5 * (wall - mean)
    shadow = 0.7 * dice.uniform(-1, 0.8).clamp(min=0).view(-1, 1, 1, 1)
    image = torch.lerp(wall * (1 - shadow * ink.roll((1, 1), (2, 3))), paint, ink)
    image = _blurred(image, dice.uniform(0.4, 1.8), dice.uniform(0.8, 1.25))
    image = image + dice.normal(0.012, 3, SIZE, SIZE)
    return (image.clamp(0, 1) * 255).round().byte(), digits[:, 1]


def _ink(dice: _Dice, digits: Tensor) -> Tensor:
    """Give the coverage of images, N x 1 x 32 x 32, by numbers of three digits, N x 3."""
    cells = _glyphs()[dice.below(len(STROKES), 1), digits]
    # Either neighbour may be missing, as in a number of one or two digits.
    cells[:, ::2] *= dice.chance(0.5, 2)[:, :, None, None]
    number = cells.transpose(1, 2).flatten(2)[:, None]
    height, width = CELL
    tall = TALL / dice.uniform(19, 30)  # the number's pixels per pixel of the image
    wide = tall * dice.uniform(0.9, 1.5)
    angle, slant = dice.normal(0.1), dice.normal(0.12)
    cos, sin = angle.cos(), angle.sin()
    across, down = wide * SIZE / (3 * width), tall * SIZE / height
    first = [across * cos, across * (slant - sin), dice.normal(0.02)]
    second = [down * sin, down * cos, dice.normal(0.05)]
    theta = torch.stack(first + second, 1).view(-1, 2, 3)
    grid = F.affine_grid(theta, [BLOCK, 1, SIZE, SIZE], align_corners=False)
    return F.grid_sample(number, grid, align_corners=False)


def _wall(dice: _Dice) -> Tensor:
    """Give backgrounds, N x 3 x 32 x 32 in about 0..1: a colour, its shading, often a frame."""
    colourful = torch.where(dice.chance(0.3), 0.1, 0.025).view(-1, 1, 1, 1)
    light = dice.uniform(0.12, 0.85, 1, 1, 1)
    colour = light + colourful * dice.normal(1, 3, 1, 1)
    shading = F.interpolate(dice.normal(0.07, 1, 2, 2), SIZE, mode="bilinear", align_corners=True)
    stains = F.interpolate(dice.normal(0.03, 3, 6, 6), SIZE, mode="bicubic", align_corners=True)
    line = torch.linspace(-1, 1, SIZE)
    side = dice.below(4, 1, 1, 1)
    turn = side * torch.pi / 2 + dice.normal(0.08, 1, 1, 1)
    beyond = turn.cos() * line + turn.sin() * line[:, None] > dice.uniform(0.6, 1.6, 1, 1, 1)
    frame = beyond * (dice.normal(0.25, 1, 1, 1) + dice.normal(0.05, 3, 1, 1))
    return (colour + shading + stains + frame).clamp(0, 1)


def _blurred(images: Tensor, width: Tensor, ratio: Tensor) -> Tensor:
    """Blur image i by a Gaussian `width[i]` pixels wide, and `ratio[i]` times that in height.

    Two products with banded matrices: a convolution with a kernel per image is far slower.
    """
    places = torch.arange(SIZE)
    squares = (places - places[:, None]).square()

    def band(deviation: Tensor) -> Tensor:
        weights = torch.exp(-squares / (2 * deviation.square().view(-1, 1, 1, 1)))
        return weights / weights.sum(3, keepdim=True)

    return band(width * ratio) @ images @ band(width).mT
