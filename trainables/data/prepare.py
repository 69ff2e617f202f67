"""Convert photographs of any size and format to square RGB pixels, on all cores."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import os
import stat
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from trainables.errors import UserError

JPEG = ("JPEG", "MPO")  # MPO: a JPEG followed by a second one, as phones write it
# No format that starts another program (EPS), and none without a signature in its first bytes.
FORMATS = (*JPEG, "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
MAX_PIXELS = 90_000_000  # of a decoded image: 270 MB per thread
TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF orientation: how to turn the image upright
READ_AHEAD = 4  # photographs per thread in the queue
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

    A note begins with its kind (`black and white`, `not JPEG`, `CMYK`, `palette`, `alpha`,
    `bit depth`, `frames`, `rotated`; `empty`, `damaged`, `not an image`, `too large`,
    `unreadable`, `no class`), optionally followed by ": " and details.
    """

    name: str
    label: int
    dropped: bool
    notes: tuple[str, ...]  # conversions, or the reason for dropping it
    size: tuple[int, int] = (0, 0)  # width and height in the file, if it was decoded


PreparedPhoto = tuple[PhotoRecord, np.ndarray | None]
"""The record and the pixels, uint8, 3 x size x size; None if the photograph was dropped."""


def find_class_folders(name: str, folder: Path) -> Path | None:
    """Return the folder with one folder per class, at least one of them with image files."""
    endings = Image.registered_extensions()
    for place in (folder / name, folder / name / "Images", folder / "Images", folder):
        for inner in _list_folders(place):
            if any(path.suffix.lower() in endings for path in inner.iterdir()):
                return place
    return None


def list_photos(root: Path) -> tuple[list[Photo], tuple[str, ...], str]:
    """Return all files of class folders, the class names, and a hash of names, sizes and times."""
    photos, state_hash = [], hashlib.sha256()
    folders = _list_folders(root)
    for label, folder in enumerate(folders):
        for path in sorted(folder.iterdir()):
            photos.append(Photo(str(path.relative_to(root)), label, path))
            state_hash.update(os.fsencode(photos[-1].name))
            with suppress(OSError):
                state = path.stat()
                state_hash.update(f"\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    names = (os.fsencode(folder.name).decode(errors="replace") for folder in folders)
    return photos, tuple(names), state_hash.hexdigest()


def _list_folders(place: Path) -> list[Path]:
    """Return the folders in a folder, without hidden ones and links to a parent."""
    if not place.is_dir():
        return []
    return sorted(
        path
        for path in place.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "__MACOSX"))
        and not place.resolve().is_relative_to(path.resolve())
    )


def prepare_all(
    photos: Iterable[Photo], size: int, drop: tuple[str, ...]
) -> Iterator[PreparedPhoto]:
    """Prepare photographs on all cores, in order; only a few are in memory at the same time."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    queue: deque[Future[PreparedPhoto]] = deque()
    # Threads are enough: Pillow releases the GIL while it decodes and resizes.
    with ThreadPoolExecutor(cores) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for photo in photos:
            queue.append(pool.submit(prepare_photo, photo, size, drop))
            if len(queue) > READ_AHEAD * (cores or 1):
                yield queue.popleft().result()
        while queue:
            yield queue.popleft().result()


def prepare_photo(photo: Photo, size: int, drop: tuple[str, ...] = ()) -> PreparedPhoto:
    """Prepare a photograph, or drop it if it cannot be used or has a note of a kind in `drop`."""

    def drop_with(*notes: str) -> PreparedPhoto:
        return PhotoRecord(photo.name, photo.label, True, notes), None

    if photo.label < 0:
        return drop_with("no class")
    try:
        content = photo.content
        content = _read(content) if isinstance(content, Path) else content
    except OSError as error:
        if error.errno not in UNREADABLE:  # a failing disk must not reduce the data
            raise UserError(f"{photo.name} cannot be read: {error.strerror}") from error
        return drop_with(f"unreadable: {error.strerror}")
    if not content:
        return drop_with("empty")
    try:
        pixels, notes, original = decode_square(content, size)
    except UnidentifiedImageError:
        return drop_with("not an image")
    except Image.DecompressionBombError as error:
        return drop_with(f"too large: {error}")
    except MemoryError:
        raise
    except Exception as error:  # Pillow's decoders raise without a common base
        reason = str(error).partition("\n")[0]
        return drop_with(f"damaged: {type(error).__name__}: {reason}")
    if reasons := [note for note in notes if parse_kind(note) in drop]:
        return drop_with(*reasons)
    return PhotoRecord(photo.name, photo.label, False, notes, original), pixels


def _read(path: Path) -> bytes:
    # Opening a pipe would block, and reading a device would not end.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.ENXIO, "not a file")
    return path.read_bytes()


def parse_kind(note: str) -> str:
    """Return the kind of a note: what it begins with."""
    return note.partition(":")[0]


def decode_square(
    content: bytes, size: int
) -> tuple[np.ndarray, tuple[str, ...], tuple[int, int]]:
    """Decode to uint8 RGB, 3 x size x size; also return notes and the file's width and height.

    The image is turned upright, its shorter side resized to `size` and its center cropped.
    Raises what Pillow raises.
    """
    Image.init()
    formats = [name for name in FORMATS if name in Image.OPEN]
    notes = []
    with Image.open(io.BytesIO(content), formats=formats) as image:
        original = image.size
        if image.format not in JPEG:
            notes.append(f"not JPEG: {image.format}")
            if (frames := getattr(image, "n_frames", 1)) > 1:
                notes.append(f"frames: first of {frames}")
        # A large JPEG is decoded at 1/2, 1/4 or 1/8 of its size: several times as fast.
        image.draft(None, (2 * size, 2 * size))
        if math.prod(image.size) > MAX_PIXELS:
            raise Image.DecompressionBombError("{} x {} pixels".format(*original))
        image.load()
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        rgb = _convert_to_rgb(image, notes)
    side = min(rgb.size)
    left, top = ((length - side) / 2 for length in rgb.size)
    box = (left, top, left + side, top + side)
    square = rgb.resize((size, size), Image.Resampling.BICUBIC, box, reducing_gap=3.0)
    # Pillow's exif_transpose would rewrite the other tags, and fails on damaged ones.
    if orientation in TRANSPOSES:
        square = square.transpose(TRANSPOSES[orientation])
        notes.append(f"rotated: EXIF orientation {orientation}")
    pixels = np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
    if (pixels[0] == pixels[1]).all() and (pixels[1] == pixels[2]).all():
        notes.append("black and white")
    return pixels, tuple(notes), original


def _convert_to_rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        notes.append(f"bit depth: mode {image.mode}")
        values = np.nan_to_num(np.asarray(image).astype(np.float64)).clip(min=0)
        # Floats are expected in 0..1 or 0..255, integers in 0..255 or 0..65535.
        ranges = [1, 255, 65535] if image.mode == "F" else [255, 65535]
        top = next((end for end in ranges if values.max() <= end), values.max())
        if image.mode.startswith("I;16"):
            top = 65535
        return Image.fromarray((values * (255 / top)).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        notes.append("alpha: composited on white")
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    if image.mode not in ("RGB", "L", "1"):
        notes.append({"P": "palette"}.get(image.mode, image.mode))
    return image.convert("RGB")
