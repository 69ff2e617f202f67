"""Convert photographs of any size and format to square RGB pixels, on all cores."""

from __future__ import annotations

import errno
import hashlib
import io
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from trainables.data.bit_depth import (
    Range,
    get_kind,
    get_white,
    is_decodable,
    read_deep,
    scale_to_bytes,
)
from trainables.data.formats import (
    JPEG,
    find_unsupported,
    is_photo_name,
    list_formats,
    read_photo,
)
from trainables.errors import UserError

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation: how to turn the image upright
CANONICAL = 512  # at least this side of a decoded JPEG, whose pixels tell copies
READ_AHEAD = 4  # photographs per thread in the queue
LOSSES = (
    *("empty", "damaged", "not an image", "too large", "unreadable", "unsupported"),
    *("no class", "in no class folder"),
)
UNREADABLE = {  # errors of one file; others are errors of the disk or the network
    errno.EACCES,
    errno.EPERM,
    errno.ENOENT,
    errno.ELOOP,
    errno.ENXIO,
}


@dataclass(frozen=True)
class Photo:
    """A photograph to prepare: its name in lists, its label, and its file or content."""

    name: str
    label: int  # -1: no valid label
    content: Path | bytes | None


@dataclass(frozen=True)
class PhotoRecord:
    """How a photograph was converted, or why it was dropped.

    A note begins with its kind, optionally followed by ": " and details. Conversions are
    `black and white`, `not JPEG`, `CMYK`, `palette`, `alpha`, `bit depth`, `frames` and
    `rotated`; LOSSES are reasons why a photograph cannot be used; `other file` is none.
    """

    name: str
    label: int
    dropped: bool
    notes: tuple[str, ...]  # conversions, or the reason for dropping it
    size: tuple[int, int] = (0, 0)  # width and height in the file, if it was decoded
    digest: bytes = b""  # of the decoded pixels, whatever the size that is prepared

    @property
    def is_lost(self) -> bool:
        """Return whether the file is a photograph that cannot be used."""
        return self.dropped and parse_kind(self.notes[0]) in LOSSES


PreparedPhoto = tuple[PhotoRecord, np.ndarray | None]
"""The record and the pixels, uint8, 3 x size x size; None if the photograph was dropped."""


def prepare_all(
    photos: Iterable[Photo], size: int, drop: tuple[str, ...], largest: Range | None = None
) -> Iterator[PreparedPhoto]:
    """Prepare photographs on all cores, in order; only a few are in memory at the same time.

    `largest` are the largest values of all images of more than 8 bits, to which they are scaled.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    queue: deque[Future[PreparedPhoto]] = deque()
    # Threads are enough: Pillow releases the GIL while it decodes and resizes.
    with ThreadPoolExecutor(cores) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for photo in photos:
            queue.append(pool.submit(prepare_photo, photo, size, drop, largest))
            if len(queue) > READ_AHEAD * (cores or 1):
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


def prepare_photo(
    photo: Photo, size: int, drop: tuple[str, ...] = (), largest: Range | None = None
) -> PreparedPhoto:
    """Prepare a photograph, or drop it if it cannot be used or has a note of a kind in `drop`."""
    path = photo.content if isinstance(photo.content, Path) else None

    def drop_with(*notes: str, is_photo: bool = True) -> PreparedPhoto:
        if not is_photo and path is not None and not is_photo_name(path.name):
            notes = (f"other file: {path.suffix.lower() or path.name}",)
        return PhotoRecord(photo.name, photo.label, True, notes), None

    if photo.label < 0:
        return drop_with("no class" if path is None else "in no class folder")
    try:
        content = read_photo(path) if path else photo.content
    except OSError as error:
        if error.errno not in UNREADABLE:  # a failing disk must not reduce the data
            raise UserError(f"{photo.name} cannot be read: {error.strerror}") from error
        return drop_with(f"unreadable: {error.strerror}", is_photo=False)
    if not content:
        return drop_with("empty", is_photo=False)
    assert isinstance(content, bytes)
    if reason := find_unsupported(path.name if path else "", content):
        return drop_with(f"unsupported: {reason}")
    try:
        pixels, notes, original, digest = decode_square(content, size, largest)
    except UnidentifiedImageError:
        return drop_with("not an image", is_photo=False)
    except Image.DecompressionBombError as error:
        return drop_with(f"too large: {error}")
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise without a common base
        reason = str(error).partition("\n")[0]
        return drop_with(f"damaged: {type(error).__name__}: {reason}")
    if reasons := [note for note in notes if parse_kind(note) in drop]:
        return drop_with(*reasons)
    return PhotoRecord(photo.name, photo.label, False, notes, original, digest), pixels


def parse_kind(note: str) -> str:
    """Return the kind of a note: what it begins with."""
    return note.partition(":")[0]


def decode_square(
    content: bytes, size: int, largest: Range | None = None
) -> tuple[np.ndarray, tuple[str, ...], tuple[int, int], bytes]:
    """Decode to uint8 RGB, 3 x size x size; also return notes, width and height, and a digest.

    The image is turned upright, its shorter side resized to `size` and its center cropped. The
    digest is that of the decoded pixels before that, the same for every size. Without `largest`
    an image of more than 8 bits is scaled by itself. Raises what Pillow raises.
    """
    side = max(2 * size, CANONICAL)
    notes: list[str] = []
    rgb, original = _decode_upright(content, side, notes, largest)
    canonical = rgb if side == CANONICAL else _decode_upright(content, CANONICAL, [], largest)[0]
    digest = hashlib.blake2b(canonical.tobytes(), digest_size=16)
    digest.update(repr(canonical.size).encode())
    side = min(rgb.size)
    left, top = ((length - side) / 2 for length in rgb.size)
    box = (left, top, left + side, top + side)
    square = rgb.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    pixels = np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
    if (pixels[0] == pixels[1]).all() and (pixels[1] == pixels[2]).all():
        notes.append("black and white")
    return pixels, tuple(notes), original, digest.digest()


def _decode_upright(
    content: bytes, side: int, notes: list[str], largest: Range | None
) -> tuple[Image.Image, tuple[int, int]]:
    """Decode to RGB and turn upright; a JPEG has at least that side, if it is as large."""
    with Image.open(io.BytesIO(content), formats=list_formats()) as image:
        original = image.size
        if image.format not in JPEG:
            notes.append(f"not JPEG: {image.format}")
            if (frames := getattr(image, "n_frames", 1)) > 1:
                notes.append(f"frames: first of {frames}")
        # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size: several times as fast.
        image.draft(None, (side, side))
        if not is_decodable(image):
            raise Image.DecompressionBombError("{} x {} pixels".format(*original))
        values = read_deep(image, content)
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        rgb = _convert_to_rgb(image, notes) if values is None else _scale(values, notes, largest)
    # Pillow's exif_transpose would rewrite the other tags, and fails on damaged ones.
    if orientation in TRANSPOSES:
        rgb = rgb.transpose(TRANSPOSES[orientation])
        notes.append(f"rotated: EXIF orientation {orientation}")
    return rgb, original


def _scale(values: np.ndarray, notes: list[str], largest: Range | None) -> Image.Image:
    kind = get_kind(values)
    own = float(np.nan_to_num(values, posinf=0).max())
    if largest is None and values.dtype == np.uint16:
        own = 65535
    white = get_white(kind, max(own, (largest or {}).get(kind, 0)))
    notes.append(f"bit depth: {kind} values, {white:,.0f} is white")
    return Image.fromarray(scale_to_bytes(values, white)).convert("RGB")


def _convert_to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.has_transparency_data:
        notes.append("alpha: composited on white")
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    if image.mode not in ("RGB", "L", "1"):
        notes.append({"P": "palette"}.get(image.mode, image.mode))
    return image.convert("RGB")
