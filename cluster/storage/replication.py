"""Copies of folders on remote storage (`s3://`, `gs://`, `file://`): complete, or ignored.

A copy is a flat list of objects with the files' contents, and a manifest with the name, size and
owner of each. No object of a complete copy is ever overwritten, and the manifest is written last:
a reader finds the newest complete copy, or the one before it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import re
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cluster.storage.location import Location, open_for_writing, read_bytes, write_bytes
from trainables.integrity import decode_json

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds for which a worker retries while the storage does not answer."""
CONCURRENT_REQUESTS = 8
"""Requests mostly wait."""
BLOCK = 8 * 2**20  # bytes
TRIES = 3
"""Attempts to read a complete copy while its owner replaces it."""
APPEND_ONLY = (".jsonl", ".journal")
"""Files with these suffixes are only appended to; all others are replaced as a whole."""
PRIVATE = re.compile(r"^\.|\.part$")
"""Names of files that are not copied: locks, markers, and partly written files."""


class StorageTimeoutError(OSError):
    """The remote storage did not answer for a long time, or holds invalid content."""


@dataclass(frozen=True)
class FileStamp:
    """The version of a file: its size in bytes, and its modification time in nanoseconds."""

    size: int
    time: int


@dataclass(frozen=True)
class CopyIndex:
    """A complete copy: its owner, its number, and for every file its object and its stamp."""

    owner: str
    number: int
    files: dict[str, tuple[str, FileStamp]]
    objects: tuple[str, ...]
    """All objects there, of this copy or left over."""


def stat_files(folder: Path, names: Iterable[str]) -> dict[str, FileStamp]:
    """Return the stamps of files, by their names below the folder; missing ones are left out."""
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            seen = (folder / name).stat()
            found[name] = FileStamp(seen.st_size, seen.st_mtime_ns)
    return found


def list_files(folder: Path) -> list[str]:
    """List the complete files below a folder, without names that begin with a dot."""
    found = []
    for top, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not PRIVATE.search(name)]
        below = Path(top).relative_to(folder)
        found += [(below / name).as_posix() for name in files if not PRIVATE.search(name)]
    return sorted(found)


def upload(
    folder: Path, location: Location, owner: str, files: dict[str, FileStamp] | None = None
) -> None:
    """Upload a folder, or the given state of its files; unchanged files are not sent again.

    Of a file that has grown since, only the first part is copied. Raises OSError.
    """
    files = stat_files(folder, list_files(folder)) if files is None else files
    if not files:
        return
    old = read_newest_index(location)
    before = old.files if old else {}
    same = files == {name: stamp for name, (_, stamp) in before.items()}
    if old and same and old.owner == owner:
        return
    number = old.number + 1 if old else 1
    remote, path = open_for_writing(location)

    def upload_file(
        entry: tuple[int, tuple[str, FileStamp]],
    ) -> tuple[str, tuple[str, FileStamp]] | None:
        index, (name, stamp) = entry
        if name in before and before[name][1] == stamp:
            return name, before[name]
        target = f"{number:06d}.{index}.{Path(name).name}"
        try:
            with (folder / name).open("rb") as source:
                limit = stamp.size if target.endswith(APPEND_ONLY) else math.inf
                size = _write(source, remote, f"{path}/{target}", limit)
        except FileNotFoundError:
            if (folder / name).exists():
                raise
            return None  # deleted meanwhile: nothing needs it
        return name, (target, FileStamp(size, stamp.time))

    with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
        copied = dict(filter(None, pool.map(upload_file, enumerate(files.items()))))
        listed = {name: [target, s.size, s.time] for name, (target, s) in copied.items()}
        manifest = f"manifest-{number:06d}.json"
        text = json.dumps({"owner": owner, "number": number, "files": listed})
        write_bytes(location, manifest, text.encode())
        needed = {manifest, *(target for target, _ in copied.values())}
        left = [f"{path}/{o}" for o in (old.objects if old else ()) if o not in needed]
        list(pool.map(remote.delete_file, left))


def read_newest_index(location: Location) -> CopyIndex | None:
    """Return the newest complete copy; None where there is none. Raises OSError."""
    remote, path = location.open()
    for _ in range(TRIES):
        sizes = {info.base_name: info.size for info in _list_infos(location) if info.is_file}
        manifests = sorted((n for n in sizes if n.startswith("manifest-")), reverse=True)
        try:
            for manifest in manifests:
                with remote.open_input_stream(f"{path}/{manifest}") as source:
                    found = _read(source.read(), tuple(sizes))
                if found and all(sizes.get(o) == s.size for o, s in found.files.values()):
                    return found
        except FileNotFoundError:  # its owner has just replaced it
            continue
        return None
    raise OSError(f"the copy in {location} changes too fast to be read; try again")


def download(
    location: Location,
    folder: Path,
    owner: str | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> bool:
    """Download the `wanted` files of the newest copy; return False where the owner has none.

    Raises OSError.
    """
    remote, path = location.open()
    for attempt in range(TRIES):
        found = read_newest_index(location)
        if found is None or owner not in (None, found.owner):
            return False

        def download_file(entry: tuple[str, tuple[str, FileStamp]]) -> None:
            name, (source, stamp) = entry
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise StorageTimeoutError(
                    f"the copy in {location} contains {name!r}, a path outside of the folder"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            with remote.open_input_stream(f"{path}/{source}") as stream, part.open("wb") as sink:
                while block := stream.read(BLOCK):
                    sink.write(block)
            os.utime(part, ns=(stamp.time, stamp.time))
            part.replace(target)

        try:
            with ThreadPoolExecutor(CONCURRENT_REQUESTS) as pool:
                list(
                    pool.map(download_file, ((n, f) for n, f in found.files.items() if wanted(n)))
                )
        except FileNotFoundError:
            if attempt == TRIES - 1:
                raise
            continue
        return True
    return False


def list_folders(location: Location) -> list[str]:
    """List the folders at a location; raises OSError."""
    return sorted(info.base_name for info in _list_infos(location) if not info.is_file)


def delete(location: Location) -> None:
    """Delete a location with all its content; raises OSError."""
    remote, path = location.open()
    with contextlib.suppress(FileNotFoundError):
        remote.delete_dir(path)


def check_access(location: Location) -> None:
    """Write, read and delete a small file; raises OSError."""
    folder = location / f".try-{uuid.uuid4().hex[:12]}"
    write_bytes(folder, "file", folder.below.encode())
    if read_bytes(folder, "file") != folder.below.encode():
        raise StorageTimeoutError(f"{location} returned other content than was written")
    delete(folder)


def retry_until_reachable(work: Callable[[], T]) -> T:
    """Call a function that uses remote storage, and again while the storage does not answer.

    Raises StorageTimeoutError after PATIENCE.
    """
    deadline, pause = time.monotonic() + PATIENCE, 0.5
    while True:
        try:
            return work()
        except StorageTimeoutError:
            raise
        except OSError as error:
            if time.monotonic() + pause > deadline:
                raise StorageTimeoutError(
                    f"the remote storage did not answer for {PATIENCE:g} s: {error}"
                ) from error
        time.sleep(pause)
        pause = min(2 * pause, 10.0)


def _list_infos(location: Location) -> list[Any]:
    from pyarrow import fs

    remote, path = location.open()
    found: list[Any] = remote.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return found


def _write(source: Any, remote: Any, target: str, limit: float) -> int:
    # A failing stream leaves a partial object, which no manifest names.
    size = 0
    with remote.open_output_stream(target) as sink:
        while block := source.read(int(min(limit - size, BLOCK))):
            sink.write(block)
            size += len(block)
    return size


def _read(text: bytes, objects: tuple[str, ...]) -> CopyIndex | None:
    try:
        content = decode_json(text)
        files = {n: (str(o), FileStamp(size, at)) for n, (o, size, at) in content["files"].items()}
        return CopyIndex(str(content["owner"]), int(content["number"]), files, objects)
    except (ValueError, KeyError, TypeError):  # a partial manifest
        return None


def trial_owner(config: Mapping[str, Any]) -> str:
    """Return the owner of a trial's copies: a lost trial's number may get another one later."""
    return json.dumps(dict(config), sort_keys=True)
