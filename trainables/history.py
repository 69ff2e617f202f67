"""The reports of a run on disk, in files of JSON lines that are only appended to.

A checkpoint names how much of them belongs to it (`Extent`): what a killed worker has appended
since is cut off on resume. A file has at most `CHUNK` reports, so that remote storage, which
replaces whole files, is never sent many of them again.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.errors import DamagedFileError

CHUNK = 500


@dataclass(frozen=True)
class Extent:
    """The size of a history in bytes over all its files, and its CRC-32."""

    size: int = 0
    crc32: int = 0


def append_report(folder: Path, entry: Mapping[str, Any], extent: Extent) -> Extent:
    """Append a report, counted from 1 in `entry["report"]`, and return the extent with it."""
    line = json.dumps(entry).encode() + b"\n"
    with (folder / f"history-{(entry['report'] - 1) // CHUNK:05d}.jsonl").open("ab") as file:
        file.write(line)
    return Extent(extent.size + len(line), zlib.crc32(line, extent.crc32))


def read_history(folder: Path, extent: Extent) -> list[dict[str, Any]]:
    """Return the reports within an extent; raises DamagedFileError."""
    content = b"".join(path.read_bytes() for path in _list_files(folder))[: extent.size]
    if Extent(len(content), zlib.crc32(content)) != extent:
        raise DamagedFileError(f"{folder}/history-*.jsonl is damaged: {_compare(content, extent)}")
    return [json.loads(line) for line in content.splitlines()]


def truncate_history(folder: Path, extent: Extent) -> None:
    """Cut off what lies beyond an extent."""
    left = extent.size
    for path in _list_files(folder):
        size = path.stat().st_size
        if left < size:
            with path.open("r+b") as file:
                file.truncate(left)
        left = max(0, left - size)


def copy_history(source: Path, target: Path, extent: Extent) -> None:
    """Copy what lies within an extent, while the files may still grow."""
    target.mkdir(parents=True, exist_ok=True)
    left = extent.size
    for path in _list_files(source):
        content = path.read_bytes()[:left]
        (target / path.name).write_bytes(content)
        left -= len(content)


def _list_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("history-*.jsonl"))


def _compare(content: bytes, extent: Extent) -> str:
    if len(content) < extent.size:
        return f"it has {len(content)} of {extent.size} bytes"
    return "its content does not match its checksum"
