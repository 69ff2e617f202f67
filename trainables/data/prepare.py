"""Photographs as people have them, of any size and kind, to square RGB pixels on all cores."""

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

JPEG = ("JPEG", "MPO")  # MPO: what phones write, a JPEG with a second one behind it
# Nothing that starts another program (EPS), and nothing without a signature in its first bytes.
FORMATS = (*JPEG, "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
MOST = 90_000_000  # pixels to be decoded: 270 MB in every thread
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation
AHEAD = 4  # photographs per thread that are read before the first of them is wanted
LOST = {errno.EACCES, errno.EPERM, errno.ENOENT, errno.ELOOP, errno.ENXIO}


@dataclass(frozen=True)
class Photo:
    """A photograph to be prepared: its name in lists, and where its bytes are."""

    name: str
    label: int  # -1: it has none that counts
    content: Path | bytes | None


@dataclass(frozen=True)
class PhotoRecord:
    """What became of a photograph.

    A note begins with its kind (`black and white`, `not JPEG`, `CMYK`, `palette`, `alpha`, `deep`,
    `frames`, `rotated`; `empty`, `damaged`, `not an image`, `too large`, `unreadable`, `no class`)
    and may go on with ": " and details.
    """

    name: str
    label: int
    dropped: bool
    notes: tuple[str, ...]  # what was converted, or the reason why it was dropped
    size: tuple[int, int] = (0, 0)  # width and height in the file, where it could be decoded


Result = tuple[PhotoRecord, np.ndarray | None]
"""The pixels are uint8, 3 x size x size; None of what was dropped."""


def find_class_folders(name: str, folder: Path) -> Path | None:
    """Find the folder that holds a folder per class, some of them with image files in it."""
    endings = Image.registered_extensions()
    for place in (folder / name, folder / name / "Images", folder / "Images", folder):
        for inner in _inner(place):
            if any(path.suffix.lower() in endings for path in inner.iterdir()):
                return place
    return None


def list_photos(root: Path) -> tuple[list[Photo], tuple[str, ...], str]:
    """List all files of class folders, the classes by name, and a hash that any change changes."""
    photos, found = [], hashlib.sha256()
    folders = _inner(root)
    for label, folder in enumerate(folders):
        for path in sorted(folder.iterdir()):
            photos.append(Photo(str(path.relative_to(root)), label, path))
            found.update(os.fsencode(photos[-1].name))
            with suppress(OSError):
                state = path.stat()
                found.update(f"\0{state.st_size}\0{state.st_mtime_ns}\0".encode())
    names = (os.fsencode(folder.name).decode(errors="replace") for folder in folders)
    return photos, tuple(names), found.hexdigest()


def _inner(place: Path) -> list[Path]:
    """Give the folders in a folder, less hidden ones and links that lead back up."""
    if not place.is_dir():
        return []
    return sorted(
        path
        for path in place.iterdir()
        if path.is_dir()
        and not path.name.startswith((".", "__MACOSX"))
        and not place.resolve().is_relative_to(path.resolve())
    )


def prepare_all(photos: Iterable[Photo], size: int, drop: tuple[str, ...]) -> Iterator[Result]:
    """Prepare photographs on all cores, in their order; few of them are in memory at once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waiting: deque[Future[Result]] = deque()
    # Threads suffice: Pillow lets go of the interpreter while it decodes and resizes.
    with ThreadPoolExecutor(cores) as pool, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        for photo in photos:
            waiting.append(pool.submit(prepare_photo, photo, size, drop))
            if len(waiting) > AHEAD * (cores or 1):
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def prepare_photo(photo: Photo, size: int, drop: tuple[str, ...] = ()) -> Result:
    """Prepare a photograph; one that cannot be used, or of a kind in `drop`, is dropped."""

    def dropped(*notes: str) -> Result:
        return PhotoRecord(photo.name, photo.label, True, notes), None

    if photo.label < 0:
        return dropped("no class")
    try:
        content = photo.content
        content = _read(content) if isinstance(content, Path) else content
    except OSError as error:
        if error.errno not in LOST:  # a disk or a network that fails must not thin out the data
            raise UserError(f"{photo.name} cannot be read: {error.strerror}") from error
        return dropped(f"unreadable: {error.strerror}")
    if not content:
        return dropped("empty")
    try:
        pixels, notes, original = decode_square(content, size)
    except UnidentifiedImageError:
        return dropped("not an image")
    except Image.DecompressionBombError as error:
        return dropped(f"too large: {error}")
    except MemoryError:
        raise
    except Exception as error:  # what Pillow's decoders raise on damage has no common base
        reason = str(error).partition("\n")[0]
        return dropped(f"damaged: {type(error).__name__}: {reason}")
    if unwanted := [note for note in notes if parse_kind(note) in drop]:
        return dropped(*unwanted)
    return PhotoRecord(photo.name, photo.label, False, notes, original), pixels


def _read(path: Path) -> bytes:
    # A pipe would be waited for, a device read without end, a folder is none of a class's images.
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.ENXIO, "not a file")
    return path.read_bytes()


def parse_kind(note: str) -> str:
    """Give what a note begins with."""
    return note.partition(":")[0]


def decode_square(
    content: bytes, size: int
) -> tuple[np.ndarray, tuple[str, ...], tuple[int, int]]:
    """Decode to uint8 RGB, 3 x size x size, with notes and the file's width and height.

    The image is turned upright, its shorter side resized to `size`, its middle cropped. Raises
    what Pillow raises.
    """
    Image.init()
    known = [name for name in FORMATS if name in Image.OPEN]
    notes = []
    with Image.open(io.BytesIO(content), formats=known) as image:
        original = image.size
        if image.format not in JPEG:
            notes.append(f"not JPEG: {image.format}")
            if (frames := getattr(image, "n_frames", 1)) > 1:
                notes.append(f"frames: first of {frames}")
        # A large JPEG is decoded at a half, a quarter or an eighth: several times as fast.
        image.draft(None, (2 * size, 2 * size))
        if math.prod(image.size) > MOST:
            raise Image.DecompressionBombError("{} x {} pixels".format(*original))
        image.load()
        turn = image.getexif().get(ExifTags.Base.Orientation)
        colours = _rgb(image, notes)
    side = min(colours.size)
    left, top = ((length - side) / 2 for length in colours.size)
    middle = (left, top, left + side, top + side)
    square = colours.resize((size, size), Image.Resampling.BICUBIC, middle, reducing_gap=3.0)
    # Not Pillow's exif_transpose: it writes the other tags anew, and fails on damaged ones.
    if turn in TURNS:
        square = square.transpose(TURNS[turn])
        notes.append(f"rotated: EXIF orientation {turn}")
    pixels = np.ascontiguousarray(np.asarray(square).transpose(2, 0, 1))
    if (pixels[0] == pixels[1]).all() and (pixels[1] == pixels[2]).all():
        notes.append("black and white")
    return pixels, tuple(notes), original


def _rgb(image: Image.Image, notes: list[str]) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":
        notes.append(f"deep: mode {image.mode}")
        values = np.nan_to_num(np.asarray(image).astype(np.float64)).clip(min=0)
        # Floats lie in 0..1 or 0..255, whole numbers in 0..255 or 0..65535, if in no other range.
        tops = [1, 255, 65535] if image.mode == "F" else [255, 65535]
        top = next((top for top in tops if values.max() <= top), values.max())
        if image.mode.startswith("I;16"):
            top = 65535
        return Image.fromarray((values * (255 / top)).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        notes.append("alpha: laid on white")
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    if image.mode not in ("RGB", "L", "1"):
        notes.append({"P": "palette"}.get(image.mode, image.mode))
    return image.convert("RGB")
