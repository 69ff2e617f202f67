"""Checksums show any changed bit, and files without one are read as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from trainables.integrity import KEY, decode_json, encode_json, sum_file


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(
    "record", [{}, {"a": 1.5, "b": {"c": [1, None, "è"]}}, {"note": '", "#crc32": 1}'}]
)
def test_a_record_is_read_as_it_was_written(record: dict[str, Any], indent: int | None) -> None:
    text = encode_json(record, indent)
    assert decode_json(text.encode()) == decode_json(f"{text}\n".encode()) == record
    assert list(json.loads(text))[-1] == KEY  # any JSON parser can read it
    assert decode_json(json.dumps(record).encode()) == record


def test_any_flipped_bit_of_a_record_changes_nothing_or_is_an_error() -> None:
    record = {"report": 3, "metrics": {"loss": 0.123456789}}
    text = encode_json(record).encode()
    noticed = 0
    for place in range(8 * len(text)):
        changed = bytearray(text)
        changed[place // 8] ^= 1 << place % 8
        try:
            found = decode_json(bytes(changed))
        except ValueError:
            noticed += 1
        else:  # in the name of the checksum
            assert {name: found[name] for name in record} == record
    assert noticed > 0.8 * 8 * len(text)


@pytest.mark.parametrize(
    "text", [b"", b"17", b"[1]", b'{"a": 1', b"\xff", b"[" * 5000, b'{"a":' * 99999]
)
def test_what_is_no_object_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError):
        decode_json(text)


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 64, 1001])
def test_the_sum_of_a_file_changes_with_any_bit_and_with_its_size(
    tmp_path: Path, size: int
) -> None:
    path = tmp_path / "file"
    content = bytes(7 * i % 256 for i in range(size))
    path.write_bytes(content)
    before = sum_file(path)
    assert before == sum_file(path) == json.loads(json.dumps(before))
    for place in range(0, 8 * size, 5):
        changed = bytearray(content)
        changed[place // 8] ^= 1 << place % 8
        path.write_bytes(changed)
        assert sum_file(path) != before
    path.write_bytes(content + b"\0")
    assert sum_file(path) != before
