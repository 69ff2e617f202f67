"""Turn image files into inputs of a model: read, resized, and cut into five crops."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainables.errors import UserError

Pixels = NDArray[np.uint8]

MARGIN = 8 / 7  # shorter side over crop, as in 256 to 224 (Krizhevsky et al., 2012)
SMALL = 64  # pixels per side, up to which objects fill the image and crops must not cut them
SMALL_MARGIN = 17 / 16
CROPS = 5
SHRUNK = 8  # factor by which both sides shrink, from which a small model loses details


def read_picture(path: Path) -> Image.Image:
    """Return an image file as RGB, rotated by its EXIF tag; of an animation the first frame.

    Raises UserError for a file that is missing or not an image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # 16 bits, which `convert` would clip
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            if upright.has_transparency_data:  # on white, as the data of photos are prepared
                layer = upright.convert("RGBA")
                white = Image.new("RGBA", layer.size, "white")
                return Image.alpha_composite(white, layer).convert("RGB")
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise UserError(f"There is no image file {path}.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a readable image: {why}") from error


def resize_picture(picture: Image.Image, shape: tuple[int, int, int]) -> Pixels:
    """Return an image resized for crops of this shape, with a margin around them.

    `shape` is that of one crop, (channels, height, width); the result is (channels, y, x) of
    uint8. The aspect ratio is kept. One channel means greyscale.
    """
    channels, height, width = shape
    image = picture.convert("L") if channels == 1 else picture.convert("RGB")
    margin = MARGIN if max(height, width) > SMALL else SMALL_MARGIN
    scale = margin * max(height / image.height, width / image.width)
    size = (
        max(width + 1, round(image.width * scale)),
        max(height + 1, round(image.height * scale)),
    )
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(size[1], size[0], channels).transpose(2, 0, 1)


def describe_shrinking(picture: Image.Image, height: int, width: int) -> str:
    """Return a warning where a large image shrinks to a small model's input; else empty."""
    factor = min(picture.height / height, picture.width / width)
    if max(height, width) > SMALL or factor < SHRUNK:
        return ""
    return (
        f"warning: {picture.width} x {picture.height} pixels, shrunk to the model's {width} x "
        f"{height}: crop to the object first"
    )


def cut_five_crops(pixels: Pixels, height: int, width: int) -> Pixels:
    """Return centre and corner crops of one (c, y, x) image, (5, c, height, width)."""
    down, right = pixels.shape[1] - height, pixels.shape[2] - width
    corners = ((down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right))
    return np.stack([pixels[:, y : y + height, x : x + width] for y, x in corners])


def predict_over_crops(predictor: Any, images: Pixels) -> NDArray[np.float64]:
    """Return probabilities (n, classes) of (n, c, y, x) images, means over five crops each."""
    shape = images.shape[1:]
    rows = []
    for start in range(0, len(images), 100):
        crops = [
            cut_five_crops(resize_picture(to_image(i), shape), *shape[1:])
            for i in images[start:][:100]
        ]
        found = np.asarray(predictor(np.concatenate(crops)), np.float64)
        rows.append(found.reshape(len(crops), CROPS, -1).mean(axis=1))
    return np.concatenate(rows)


def to_image(pixels: Pixels) -> Image.Image:
    """Return pixels (c, y, x) of one or three channels as an image."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def is_image_classifier(predictor: Any) -> bool:
    """Return whether a model predicts class probabilities of greyscale or RGB images."""
    example = np.asarray(predictor.example)
    images = example.dtype == np.uint8 and example.ndim == 4 and example.shape[1] in (1, 3)
    return images and len(predictor.classes) > 1
