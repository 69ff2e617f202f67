"""Checksums that show damage in files which are read again: of JSON texts, and of binary files.

A file without a checksum was written by an older version, and is read as it is.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

KEY = "#crc32"
"""Last key of a JSON object with a checksum: the CRC-32 of the text before it."""
SEAL = re.compile(rb',?\s*"#crc32": (\d+)\s*\}\s*$')


def encode_json(record: Mapping[str, Any], indent: int | None = None) -> str:
    """Return a record as JSON with a checksum."""
    head = json.dumps(record, indent=indent)[:-1].rstrip()
    comma = "," if record else ""
    space, end = (f"\n{' ' * indent}", "\n}") if indent else (" " if record else "", "}")
    return f'{head}{comma}{space}"{KEY}": {zlib.crc32(head.encode())}{end}'


def decode_json(text: bytes) -> dict[str, Any]:
    """Return the record of a JSON text; raises ValueError for a damaged one."""
    try:
        record = json.loads(text)
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    if not isinstance(record, dict):
        raise ValueError(f"{type(record).__name__} instead of a JSON object")
    if record.pop(KEY, None) is not None:
        seal = SEAL.search(text)
        if seal is None or zlib.crc32(text[: seal.start()]) != int(seal[1]):
            raise ValueError("its content does not match its checksum")
    return record


def sum_file(path: Path) -> list[int]:
    """Return the size of a file in bytes, and the sum of its 64-bit words modulo 2**64.

    A single changed bit always changes the sum, two may not. It takes 5 ms for 50 MB, a quarter
    of what CRC-32 takes.
    """
    size = path.stat().st_size
    whole = size // 8 * 8
    words = (
        np.memmap(path, np.uint8, "r")[:whole].view(np.uint64) if whole else np.empty(0, np.uint64)
    )
    with path.open("rb") as file:
        file.seek(whole)
        rest = int.from_bytes(file.read(), "little")
    return [size, (int(words.sum(dtype=np.uint64)) + rest) % 2**64]
