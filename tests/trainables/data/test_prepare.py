"""Photographs of all formats, and files that are not photographs."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from trainables.data import prepare
from trainables.data.prepare import Photo, PhotoRecord, decode_square
from trainables.errors import UserError

JUST = Image.new("RGB", (48, 32), (0, 90, 0))
RED, GREEN, BLUE = (220, 30, 20), (20, 200, 40), (30, 40, 210)


def _halves(left: Any, right: Any, mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Any:
    image = Image.new(mode, size, left)
    image.paste(right, (size[0] // 2, 0, *size))
    return image


def _bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def _near(pixels: np.ndarray, y: int, x: int, colour: tuple[int, ...], by: int = 12) -> bool:
    return bool((np.abs(pixels[:, y, x].astype(int) - colour) <= by).all())


def _prepare(content: Path | bytes | None, **settings: Any) -> PhotoRecord:
    return prepare.prepare_photo(Photo("x", 0, content), 16, **settings)[0]


JPEG = _bytes(_halves(RED, BLUE), "JPEG", quality=95)


def test_the_shorter_side_is_resized_and_the_center_cropped() -> None:
    image = Image.new("RGB", (96, 32), GREEN)
    image.paste(RED, (32, 0, 64, 32))
    pixels, notes, size, _ = decode_square(_bytes(image, "JPEG", quality=95), 16)
    assert (pixels.shape, pixels.dtype, notes, size) == ((3, 16, 16), np.uint8, (), (96, 32))
    assert all(_near(pixels, y, x, RED) for y in (0, 15) for x in (2, 13))
    assert decode_square(_bytes(image.rotate(90, expand=True), "JPEG"), 40)[0].shape == (3, 40, 40)


def test_resizing_agrees_with_resizing_before_cropping() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    image = Image.fromarray(noise).resize((180, 120), Image.Resampling.BICUBIC)
    wanted = image.resize((48, 32), Image.Resampling.BICUBIC).crop((8, 0, 40, 32))
    pixels = decode_square(_bytes(image, "PNG"), 32)[0].transpose(1, 2, 0).astype(int)
    assert np.abs(pixels - np.asarray(wanted)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(orientation: int) -> None:
    upright = Image.new("RGB", (32, 32), GREEN)
    upright.paste(RED, (0, 0, 16, 16))
    upright.paste(BLUE, (16, 0, 32, 16))
    # What a camera stores that was held in this way: the inverse of what a viewer does.
    stored = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = upright.transpose(stored[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[274] = orientation
    pixels, notes, *_ = decode_square(
        _bytes(image, "JPEG", exif=exif, quality=95, subsampling=0), 16
    )
    assert _near(pixels, 3, 3, RED, 20)
    assert _near(pixels, 3, 12, BLUE, 20)
    assert _near(pixels, 12, 3, GREEN, 20)
    turned = (f"rotated: EXIF orientation {orientation}",) if orientation > 1 else ()
    assert notes == turned


def test_images_with_unreadable_exif_are_kept() -> None:
    exif = Image.Exif()
    exif[274], exif[270] = 6, "hello"
    whole = exif.tobytes()
    # The tag of a text becomes one of a fraction: readable, but not to be written again.
    damaged = whole.replace(b"\x01\x0e\0\x02", b"\x01\x54\0\x02")
    assert damaged != whole
    content = _bytes(_halves(RED, BLUE, size=(32, 32)), "JPEG", exif=damaged, quality=95)
    pixels, notes, *_ = decode_square(content, 16)
    assert notes == ("rotated: EXIF orientation 6",)
    assert _near(pixels, 3, 8, RED, 20)
    assert _near(pixels, 12, 8, BLUE, 20)
    garbage = b"Exif\0\0" + b"not a TIFF header at all"
    assert decode_square(_bytes(_halves(RED, BLUE), "JPEG", exif=garbage), 16)[1] == ()


@pytest.mark.parametrize(
    ("content", "note"),
    [
        (_bytes(_halves(RED, BLUE).convert("CMYK"), "JPEG", quality=95), "CMYK"),
        (_bytes(_halves(RED, BLUE), "PNG"), "not JPEG: PNG"),
        (_bytes(_halves(RED, BLUE), "BMP"), "not JPEG: BMP"),
        (_bytes(_halves(RED, BLUE), "TIFF"), "not JPEG: TIFF"),
        (_bytes(_halves(RED, BLUE), "WEBP", lossless=True), "not JPEG: WEBP"),
        (_bytes(_halves(RED, BLUE).quantize(8), "PNG"), "palette"),
        (_bytes(_halves((*RED, 255), (*BLUE, 255), "RGBA"), "PNG"), "alpha: composited on white"),
        (
            _bytes(
                _halves(RED, BLUE), "GIF", save_all=True, append_images=[_halves(GREEN, RED), JUST]
            ),
            "frames: first of 3",
        ),
    ],
    ids=["cmyk", "png", "bmp", "tiff", "webp", "palette", "alpha", "animated"],
)
def test_other_formats_become_rgb(content: bytes, note: str) -> None:
    pixels, notes, *_ = decode_square(content, 16)
    assert note in notes
    assert _near(pixels, 8, 2, RED, 25)
    assert _near(pixels, 8, 13, BLUE, 25)


def test_transparency_becomes_white() -> None:
    pixels, *_ = decode_square(_bytes(_halves((*RED, 255), (*BLUE, 0), "RGBA"), "PNG"), 16)
    assert _near(pixels, 8, 2, RED)
    assert _near(pixels, 8, 13, (255, 255, 255))


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.array([[0, 65535]], np.uint16), "PNG"),
        (np.array([[0, 65535]], np.uint16), "TIFF"),
        (np.array([[0, 65535]], np.int32), "TIFF"),
        (np.array([[0.0, 1.0]], np.float32), "TIFF"),
        (np.array([[0.0, 255.0]], np.float32), "TIFF"),
        (np.array([[-3.0, 1e9]], np.float32), "TIFF"),
    ],
)
def test_high_bit_depths_keep_their_range(values: np.ndarray, kind: str) -> None:
    ramp = np.repeat(values, 24, axis=1).repeat(32, axis=0)
    pixels, notes, *_ = decode_square(_bytes(Image.fromarray(ramp), kind), 16)
    assert any(note.startswith("bit depth: ") for note in notes)
    assert _near(pixels, 8, 2, (0, 0, 0))
    assert _near(pixels, 8, 13, (255, 255, 255))


def test_a_dark_16_bit_image_stays_dark() -> None:
    dark = Image.fromarray(np.full((20, 20), 2570, np.uint16))
    assert _near(decode_square(_bytes(dark, "PNG"), 16)[0], 5, 5, (10, 10, 10), by=1)


@pytest.mark.parametrize("mode", ["L", "1", "RGB"])
def test_black_and_white_is_noted_and_dropped_on_demand(mode: str) -> None:
    grey = _halves((20, 20, 20), (230, 230, 230)).convert(mode)
    content = _bytes(grey, "PNG" if mode == "1" else "JPEG")
    assert "black and white" in _prepare(content).notes
    assert not _prepare(content).dropped
    assert _prepare(content, drop=("black and white",)).dropped
    assert not _prepare(JPEG, drop=("black and white",)).dropped


def test_other_formats_are_dropped_on_demand() -> None:
    content = _bytes(_halves(RED, BLUE), "PNG")
    record = _prepare(content, drop=("not JPEG",))
    assert (record.dropped, record.notes) == (True, ("not JPEG: PNG",))


def _bomb() -> bytes:
    return _bytes(Image.new("1", (20_000, 10_000)), "PNG")


def _large() -> bytes:
    return _bytes(Image.new("1", (10_000, 9_001)), "PNG")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (lambda: b"", "empty"),
        (lambda: None, "empty"),
        (lambda: b"this is text, whatever its name\n" * 20, "not an image"),
        (lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image"),
        (lambda: JPEG[:3], "not an image"),
        (lambda: JPEG[: len(JPEG) // 2], "damaged"),
        (lambda: _bytes(_halves(RED, BLUE), "PNG")[:-40], "damaged"),
        (lambda: _bytes(_halves(RED, BLUE), "GIF")[:-30], "damaged"),
        (_bomb, "too large"),
        (_large, "too large"),
    ],
    ids=["zero", "none", "text", "eps", "head", "jpeg", "png", "gif", "bomb", "large"],
)
@pytest.mark.filterwarnings("ignore:Image size")
def test_unusable_content_is_dropped(content: Any, reason: str) -> None:
    record = _prepare(content())
    assert record.dropped
    assert [prepare.parse_kind(note) for note in record.notes] == [reason]


def test_paths_that_are_not_files(tmp_path: Path) -> None:
    (tmp_path / "self.jpg").symlink_to(tmp_path / "self.jpg")
    (tmp_path / "dangling.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("self", "dangling", "pipe", "folder"):
        record = _prepare(tmp_path / f"{name}.jpg")
        assert record.is_lost
        assert record.notes[0].startswith("unreadable: ")


def test_a_failing_disk_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    (tmp_path / "a.jpg").write_bytes(JPEG)
    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(UserError, match="x cannot be read: Input/output"):
        _prepare(tmp_path / "a.jpg")


def test_order_is_kept_and_few_photographs_are_read_ahead() -> None:
    taken = 0

    def photos() -> Any:
        nonlocal taken
        for number in range(300):
            taken += 1
            yield Photo(str(number), number, JPEG if number % 3 else b"")

    results = prepare.prepare_all(photos(), 16, ())
    first = next(results)[0]
    assert first.name == "0"
    assert taken < 300
    assert [record.label for record, _ in results] == list(range(1, 300))
