"""Formats: photographs by name, and those that are not read."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from trainables.data import formats, prepare
from trainables.data.prepare import Photo

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(50)


def test_names_of_photographs() -> None:
    for name in ("a.jpg", "B.JPEG", "c.HEIC", "d.nef", "e.Tiff"):
        assert formats.is_photo_name(name)
    for name in ("jpg", "notes.txt", "Thumbs.db", "film.mp4", "a.jpg.xml"):
        assert not formats.is_photo_name(name)


def test_unsupported_formats_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    assert "tunery[heic]" in (formats.find_unsupported("a.jpg", HEIC) or "")
    assert "camera RAW (.nef)" in (formats.find_unsupported("a.NEF", b"II*\0") or "")
    assert formats.find_unsupported("a.jpg", b"\xff\xd8\xff") is None
    monkeypatch.setattr(formats, "has_heif", lambda: True)
    assert formats.find_unsupported("a.heic", HEIC) is None


def test_avif_is_not_taken_for_heic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "has_heif", lambda: False)
    file = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 40, 30)).save(file, "AVIF")
    assert formats.find_unsupported("a.avif", file.getvalue()) is None
    assert not prepare.prepare_photo(Photo("a", 0, file.getvalue()), 16)[0].dropped


def test_heic_is_read_with_its_package() -> None:
    pytest.importorskip("pillow_heif")
    formats.has_heif.cache_clear()
    assert formats.has_heif()
    file = io.BytesIO()
    Image.new("RGB", (80, 64), (200, 40, 30)).save(file, "HEIF")
    record, pixels = prepare.prepare_photo(Photo("a", 0, file.getvalue()), 16)
    assert not record.dropped and pixels is not None
    assert abs(pixels[:, 8, 8].astype(int) - (200, 40, 30)).max() < 6
