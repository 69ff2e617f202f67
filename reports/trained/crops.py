"""Pictures as a model takes them: read from files, resized, and cut into five crops."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from trainables.errors import UserError

Pixels = NDArray[np.uint8]

ROOM = 8 / 7  # shorter side over crop, as in 256 to 224 (Krizhevsky et al., 2012)
SMALL = 64  # pixels a side, up to which a crop would cut off what fills the image
SMALL_ROOM = 17 / 16
CROPS = 5
MUCH = 8  # times that both sides shrink, from which details are lost to a small model


def read_picture(path: Path) -> Image.Image:
    """An image file, upright and in colour; of an animation the first frame.

    Raises UserError for what is not there or no image.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16"):  # 16 bits, which a mere conversion would cut off
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            if upright.has_transparency_data:  # as a viewer shows it, and as photos are prepared
                layer = upright.convert("RGBA")
                white = Image.new("RGBA", layer.size, "white")
                return Image.alpha_composite(white, layer).convert("RGB")
            return upright.convert("RGB")
    except FileNotFoundError as error:
        raise UserError(f"There is no picture {path}.") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        why = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"{path} is not a picture that can be read: {why}") from error


def resize_picture(picture: Image.Image, shape: tuple[int, int, int]) -> Pixels:
    """A picture with room around crops of this shape: (channels, height, width) of uint8.

    Keeps its proportions; of one channel it is grey.
    """
    channels, height, width = shape
    image = picture.convert("L") if channels == 1 else picture.convert("RGB")
    room = ROOM if max(height, width) > SMALL else SMALL_ROOM
    scale = room * max(height / image.height, width / image.width)
    size = (
        max(width + 1, round(image.width * scale)),
        max(height + 1, round(image.height * scale)),
    )
    resized = image.resize(size, Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(size[1], size[0], channels).transpose(2, 0, 1)


def describe_shrinking(picture: Image.Image, height: int, width: int) -> str:
    """A warning where little of a large picture is left at a model's few pixels; else empty."""
    times = min(picture.height / height, picture.width / width)
    if max(height, width) > SMALL or times < MUCH:
        return ""
    return (
        f"warning: {picture.width} x {picture.height} pixels, shrunk to the model's {width} x "
        f"{height}: crop to the object first"
    )


def cut_five_crops(pixels: Pixels, height: int, width: int) -> Pixels:
    """The centre and the four corners of one (c, y, x) picture: (5, c, height, width)."""
    down, right = pixels.shape[1] - height, pixels.shape[2] - width
    corners = ((down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right))
    return np.stack([pixels[:, y : y + height, x : x + width] for y, x in corners])


def predict_over_crops(predictor: Any, images: Pixels) -> NDArray[np.float64]:
    """Probabilities (n, classes) of (n, c, y, x) images, each the mean over its five crops."""
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
    """Pixels (c, y, x) of one or three channels as a picture."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))


def is_image_classifier(predictor: Any) -> bool:
    """Whether a model reads grey or coloured images, and gives a probability per class."""
    example = np.asarray(predictor.example)
    images = example.dtype == np.uint8 and example.ndim == 4 and example.shape[1] in (1, 3)
    return images and len(predictor.classes) > 1
