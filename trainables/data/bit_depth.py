"""Images of more than 8 bits per channel, scaled by the largest value of all images of a folder.

A camera of 12 bits writes values up to 4,095 into files of 16 bits. One scale for the whole
folder keeps the relations of brightness between its images.
"""

from __future__ import annotations

import io
import math
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from trainables.data.formats import JPEG, list_formats, read_photo

Range = dict[str, float]
"""The largest value of all images with `integer` and with `float` pixels."""
MAX_PIXELS = 90_000_000  # of a decoded image: 270 MB per thread
BITS = range(8, 17)
OTHER_ORDER = {"16B": "16L", "16L": "16B", "16N": "16B" if sys.byteorder == "little" else "16L"}


def find_range(contents: Iterable[Path | bytes | None]) -> Range:
    """Return the largest values of the deep images among files and encoded images.

    The others are opened, but not decoded. What cannot be read is skipped here.
    """
    largest: Range = {}
    formats = [name for name in list_formats() if name not in JPEG]
    for content in contents:
        if content is None or _is_jpeg(content):
            continue
        try:
            encoded = read_photo(content) if isinstance(content, Path) else content
            with Image.open(io.BytesIO(encoded), formats=formats) as image:
                values = read_deep(image, encoded) if is_decodable(image) else None
        except Exception:  # Pillow's decoders raise without a common base; it is dropped later
            continue
        if values is not None and values.size:
            kind = get_kind(values)
            found = float(np.nan_to_num(values, posinf=0).max())
            largest[kind] = max(largest.get(kind, 0.0), found)
    return largest


def read_deep(image: Image.Image, content: bytes) -> np.ndarray | None:
    """Return the values of an image of more than 8 bits, (y, x) or (y, x, channel); else None.

    `image` is opened from `content`. An alpha channel is left out.
    """
    if image.mode.startswith("I") or image.mode == "F":
        return np.asarray(image)
    if image.mode not in ("RGB", "RGBA") or not (tiles := getattr(image, "tile", None)):
        return None
    # Pillow keeps the high byte of each value. Read in the other byte order, it is the low one.
    swapped = [tile._replace(args=_swap_bytes(tile.args)) for tile in tiles]
    if any(tile.args is None for tile in swapped):
        return None
    with Image.open(io.BytesIO(content), formats=[str(image.format)]) as low:
        low.tile = swapped
        values: np.ndarray = np.asarray(image).astype(np.uint16) * 256 + np.asarray(low)
    values = values[..., :3]
    return values


def is_decodable(image: Image.Image) -> bool:
    """Return whether an opened image is small enough to be decoded."""
    return math.prod(image.size) <= MAX_PIXELS


def get_kind(values: np.ndarray) -> str:
    """Return whether pixels are `integer` or `float`."""
    return "float" if values.dtype.kind == "f" else "integer"


def get_white(kind: str, largest: float) -> float:
    """Return the value that becomes white: the end of the smallest usual range with `largest`.

    Floats are expected in 0..1 or in the range of integers of 8 to 16 bits.
    """
    ends = [*([1] if kind == "float" else []), *(2**bits - 1 for bits in BITS)]
    return next((end for end in ends if largest <= end), largest)


def scale_to_bytes(values: np.ndarray, white: float) -> np.ndarray:
    """Scale values from 0..white to uint8."""
    finite = np.nan_to_num(values.astype(np.float64), posinf=white)
    return (finite.clip(0, white) * (255 / white)).round().astype(np.uint8)


def _is_jpeg(content: Path | bytes) -> bool:
    if isinstance(content, Path):
        return content.suffix.lower() in (".jpg", ".jpeg")
    return content.startswith(b"\xff\xd8")


def _swap_bytes(arguments: Any) -> Any:
    """Return a tile's arguments with 16-bit values in the other byte order; None without those."""
    name, *rest = arguments if isinstance(arguments, tuple) else (arguments,)
    order = str(name).rpartition(";")[2]
    if order not in OTHER_ORDER:
        return None
    other = str(name).replace(order, OTHER_ORDER[order])
    return (other, *rest) if isinstance(arguments, tuple) else other
