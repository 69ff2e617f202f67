"""Augmentations of batches, compared with Pillow on single images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps
from torch import Tensor

from trainables.data import augment

LAYOUTS = [torch.contiguous_format, torch.channels_last]


def _generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _batch(count: int = 16, height: int = 12, width: int = 9) -> Tensor:
    shape = (count, 3, height, width)
    return torch.randint(0, 256, shape, generator=_generator(), dtype=torch.uint8)


def _pillow(image: Tensor) -> Image.Image:
    return Image.fromarray(image.permute(1, 2, 0).numpy())


def _tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)


RANDOM: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "shift": lambda images, generator: augment.random_shift(images, 3, generator),
    "flip": lambda images, generator: augment.random_flip(images, generator),
    "rotation": lambda images, generator: augment.random_rotation(images, 20, generator),
    "solarize": lambda images, generator: augment.solarize(images, 0.5, 0.5, generator),
}


@pytest.mark.parametrize("name", RANDOM)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_random_functions_keep_dtype_and_layout_and_use_the_generator(
    name: str, layout: torch.memory_format, dtype: torch.dtype
) -> None:
    images = _batch(64).to(dtype, memory_format=layout)
    images = images / 255 if dtype.is_floating_point else images
    before = images.clone()
    once, again, other = (RANDOM[name](images, _generator(seed)) for seed in (1, 1, 2))
    assert once.dtype == dtype
    assert once.shape == images.shape
    assert once.is_contiguous(memory_format=layout)
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", RANDOM)
def test_each_image_has_its_own_draw(name: str) -> None:
    images = _batch(1).expand(64, -1, -1, -1).contiguous()
    assert len(RANDOM[name](images, _generator()).unique(dim=0)) > 1


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("padding", "mode"), [("reflect", "reflect"), ("zero", "constant")])
def test_shift_is_a_crop_of_the_padded_image(
    layout: torch.memory_format, padding: str, mode: str
) -> None:
    images = _batch(81).to(memory_format=layout)
    down, right = torch.cartesian_prod(torch.arange(-4, 5), torch.arange(-4, 5)).unbind(1)
    moved = augment.shift(images, down, right, padding)  # type: ignore[arg-type]
    for image, y, x, result in zip(images, down.tolist(), right.tolist(), moved, strict=True):
        edges = ((0, 0), (4, 4), (4, 4))
        padded = np.pad(image.numpy(), edges, mode=mode)  # type: ignore[call-overload]
        crop = padded[:, 4 - y : 4 - y + 12, 4 - x : 4 - x + 9]
        np.testing.assert_array_equal(result.numpy(), crop)


def test_shift_reaches_every_offset() -> None:
    images = torch.zeros(4000, 1, 7, 7, dtype=torch.uint8)
    images[:, :, 3, 3] = 1
    total = augment.random_shift(images, 2, _generator(), "zero").sum((0, 1))
    assert total.sum() == 4000
    assert total[1:6, 1:6].min() > 100


def test_flip_mirrors_half_of_them() -> None:
    images = _batch(1000)
    flipped = augment.random_flip(images, _generator())
    same = (flipped == images).flatten(1).all(1)
    assert 400 < same.sum() < 600
    for image, result in zip(images[~same][:5], flipped[~same][:5], strict=True):
        assert torch.equal(result, _tensor(ImageOps.mirror(_pillow(image))))
    assert torch.equal(augment.random_flip(images, _generator(), 0.0), images)


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_rotation_agrees_with_pillow(size: tuple[int, int]) -> None:
    images = _batch(8, *size)
    angles = torch.tensor([0.0, 5, -5, 15, -30, 45, 90, 180])
    turned = augment.rotate(images, angles, "zeros")
    for image, angle, result in zip(images, angles.tolist(), turned, strict=True):
        wanted = _tensor(_pillow(image).rotate(angle, Image.Resampling.BILINEAR))
        difference = (result.int() - wanted.int()).abs()[:, 4:-4, 4:-4]
        assert difference.max() <= 2, angle


def test_solarize_agrees_with_pillow() -> None:
    images = _batch()
    result = augment.solarize(images, 128 / 255, 1.0, _generator())
    for image, inverted in zip(images, result, strict=True):
        assert torch.equal(inverted, _tensor(ImageOps.solarize(_pillow(image), 128)))
    floats = augment.solarize(images / 255, 128 / 255, 1.0, _generator())
    torch.testing.assert_close(floats, result / 255)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_normalized_images_have_mean_zero_and_deviation_one(layout: torch.memory_format) -> None:
    images = _batch(200)
    mean, std = augment.compute_mean_std(images)
    torch.testing.assert_close(mean, (images / 255).mean((0, 2, 3)))
    torch.testing.assert_close(std, (images / 255).std((0, 2, 3), correction=0))
    result = augment.normalize(images, mean, std, memory_format=layout)
    assert result.is_contiguous(memory_format=layout)
    torch.testing.assert_close(result.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(result.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)
    half = augment.normalize(images, mean.tolist(), std.tolist(), torch.bfloat16)
    torch.testing.assert_close(half.float(), result, atol=0.02, rtol=0.02)


def test_mean_and_std_of_rows_and_of_a_constant_channel() -> None:
    images = torch.zeros(10, 1, 4, 4, dtype=torch.uint8)
    images[5:] = 255
    mean, std = augment.compute_mean_std(images, rows=torch.arange(5, 10), sample=3)
    assert (mean.item(), std.item()) == (1.0, 0.0)
    assert augment.normalize(images[5:], mean, std).abs().max() == 0
