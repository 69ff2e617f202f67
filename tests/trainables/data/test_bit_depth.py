"""Images of more than 8 bits: one scale for a folder, and both bytes of color images."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from trainables.data import bit_depth
from trainables.data.bit_depth import find_range, get_white, scale_to_bytes
from trainables.data.prepare import decode_square


def _png(values: np.ndarray) -> bytes:
    """Encode RGB values of 16 bits, (y, x, 3), which Pillow does not write."""
    lines = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def _grey(value: int, path: Path | None = None) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((20, 20), value, np.uint16)).save(file, "PNG")
    if path:
        path.write_bytes(file.getvalue())
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "largest", "white"),
    [
        *(("integer", 200, 255), ("integer", 1023, 1023), ("integer", 3000, 4095)),
        *(("integer", 65535, 65535), ("integer", 1e6, 1e6), ("float", 0.7, 1)),
        *(("float", 200.0, 255), ("float", 4000.0, 4095), ("float", 1e9, 1e9)),
    ],
)
def test_white_is_the_end_of_a_usual_range(kind: str, largest: float, white: float) -> None:
    assert get_white(kind, largest) == white


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    assert find_range([tmp_path / "pipe.png", _grey(9)]) == {"integer": 9}


def test_the_largest_value_is_that_of_all_images(tmp_path: Path) -> None:
    _grey(900, tmp_path / "a.png"), _grey(4000, tmp_path / "b.png")
    (tmp_path / "c.png").write_bytes(b"damaged")
    Image.new("RGB", (8, 8), "white").save(tmp_path / "d.jpg")
    assert find_range([*sorted(tmp_path.iterdir()), None, _grey(70)]) == {"integer": 4000}
    assert find_range([tmp_path / "d.jpg"]) == {}


def test_brightness_keeps_its_relations_in_a_folder() -> None:
    dark, bright = _grey(1024), _grey(2048)
    largest = find_range([dark, bright, _grey(4000)])
    shown = [int(decode_square(image, 16, largest)[0][0, 8, 8]) for image in (dark, bright)]
    assert shown == [64, 128]


def test_both_bytes_of_color_images_are_used() -> None:
    values = np.random.default_rng(0).integers(0, 4096, (16, 16, 3))
    content = _png(values)
    largest = find_range([content])
    assert largest == {"integer": values.max()}
    pixels, notes, *_ = decode_square(content, 16, largest)
    assert "bit depth: integer values, 4,095 is white" in notes
    expected = scale_to_bytes(values.transpose(2, 0, 1), 4095)
    np.testing.assert_array_equal(pixels, expected)


def test_an_image_that_is_too_large_is_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bit_depth, "MAX_PIXELS", 300)
    assert find_range([_grey(4000)]) == {}


def test_values_that_are_not_finite_become_black_and_white() -> None:
    values = np.array([np.nan, -1.0, 0.5, np.inf])
    assert scale_to_bytes(values, 1.0).tolist() == [0, 0, 128, 255]
