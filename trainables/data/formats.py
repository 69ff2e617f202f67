"""Formats of photographs: which are read, and which files are photographs by their names."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from pathlib import Path, PurePath

from PIL import Image

from trainables.cache import check_is_regular

JPEG = ("JPEG", "MPO")  # MPO: a JPEG followed by a second one, as phones write it
# No format that starts another program (EPS), and none without a signature in its first bytes.
FORMATS = (*JPEG, "PNG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "PPM")
HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
HEIF_SUFFIXES = {".heic", ".heif", ".hif"}
# Pillow would read the small preview inside some of them.
RAW_SUFFIXES = {
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw"),
    *(".rw2", ".srw"),
}
SUFFIXES = {
    *HEIF_SUFFIXES,
    *RAW_SUFFIXES,
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".webp", ".avif", ".avifs", ".jp2", ".j2k", ".jpf", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".ico", ".psd", ".svg", ".tga", ".jxl", ".exr", ".hdr"),
}


@cache
def has_heif() -> bool:
    """Return whether HEIC files can be read: the package pillow-heif is installed."""
    if importlib.util.find_spec("pillow_heif") is None:
        return False
    importlib.import_module("pillow_heif").register_heif_opener()
    return True


def list_formats() -> list[str]:
    """Return Pillow's names of the formats that are read."""
    heif = ("HEIF",) if has_heif() else ()
    Image.init()
    return [name for name in (*FORMATS, *heif) if name in Image.OPEN]


def is_photo_name(name: str) -> bool:
    """Return whether a file is a photograph by the ending of its name."""
    return PurePath(name).suffix.lower() in SUFFIXES


def read_photo(path: Path) -> bytes:
    """Return the content of a file; raises OSError for what is no regular file."""
    check_is_regular(path)
    return path.read_bytes()


def find_unsupported(name: str, content: bytes) -> str | None:
    """Return what a file is and what to do, if it is a photograph in a format that is not read."""
    suffix = PurePath(name).suffix.lower()
    if suffix in RAW_SUFFIXES:
        return f"camera RAW ({suffix}): convert it to JPEG"
    is_heif = content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS
    is_avif = content[4:8] == b"ftyp" and b"avif" in content[8:40]
    if is_heif and not is_avif and not has_heif():
        return "HEIC: pip install 'tunery[heic]', or convert it to JPEG"
    return None
