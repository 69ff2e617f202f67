"""Copies of folders on remote storage (`s3://`, `gs://`, `file://`): whole, or not believed.

A copy is a flat place with the files' contents and a manifest that says which file is which, how
long it is, and whose copy it is. No object of a whole copy is ever overwritten, and the manifest
comes last: a reader finds the newest whole copy, or the one before it.
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

from cluster.storage.location import Location, read_bytes, ready, write_bytes

T = TypeVar("T")

PATIENCE = 120.0
"""Seconds that a worker goes on trying while the storage does not answer."""
AT_ONCE = 8
"""Requests at the same time: each of them mostly waits."""
BLOCK = 8 * 2**20
"""Bytes."""
TRIES = 3
"""Looks for a whole copy while its owner replaces it."""
GROWING = (".jsonl", ".journal")
"""Files of these kinds are only ever appended to; all others are replaced as a whole."""
OWN = re.compile(r"^\.|\.part$")
"""Names of files that are nobody else's: locks, marks, and what is being written."""


class StorageTimeoutError(OSError):
    """The remote storage did not answer for a long time, or holds what it cannot."""


@dataclass(frozen=True)
class FileStamp:
    """What tells that a file has changed: its size in bytes, and its time in nanoseconds."""

    size: int
    time: int


@dataclass(frozen=True)
class CopyIndex:
    """A whole copy: whose it is, its number, and for every file its object and its stamp."""

    owner: str
    number: int
    files: dict[str, tuple[str, FileStamp]]
    objects: tuple[str, ...]
    """Everything that lies there, of this copy or left over."""


def stat_files(folder: Path, names: Iterable[str]) -> dict[str, FileStamp]:
    """Look at files, by their names below the folder, as they are now."""
    found = {}
    for name in names:
        with contextlib.suppress(FileNotFoundError):
            seen = (folder / name).stat()
            found[name] = FileStamp(seen.st_size, seen.st_mtime_ns)
    return found


def list_files(folder: Path) -> list[str]:
    """List the finished files below a folder; those whose names begin with a dot stay here."""
    found = []
    for top, _, files in os.walk(folder):
        below = Path(top).relative_to(folder)
        found += [(below / name).as_posix() for name in files if not OWN.search(name)]
    return sorted(found)


def upload(
    folder: Path, place: Location, owner: str, files: dict[str, FileStamp] | None = None
) -> None:
    """Make the copy as the folder is, or as these files of it were; what has not changed stays.

    Of a file that has grown since, its beginning is copied. Raises OSError.
    """
    files = stat_files(folder, list_files(folder)) if files is None else files
    if not files:
        return
    old = read_newest_index(place)
    before = old.files if old else {}
    same = files == {name: stamp for name, (_, stamp) in before.items()}
    if old and same and old.owner == owner:
        return
    number = old.number + 1 if old else 1
    remote, path = ready(place)

    def upload(
        entry: tuple[int, tuple[str, FileStamp]],
    ) -> tuple[str, tuple[str, FileStamp]] | None:
        index, (name, stamp) = entry
        if name in before and before[name][1] == stamp:
            return name, before[name]
        target = f"{number:06d}.{index}.{Path(name).name}"
        try:
            with (folder / name).open("rb") as source:
                limit = stamp.size if target.endswith(GROWING) else math.inf
                size = _write(source, remote, f"{path}/{target}", limit)
        except FileNotFoundError:
            if (folder / name).exists():
                raise
            return None  # dropped meanwhile: nobody needs it
        return name, (target, FileStamp(size, stamp.time))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        copied = dict(filter(None, pool.map(upload, enumerate(files.items()))))
        listed = {name: [target, s.size, s.time] for name, (target, s) in copied.items()}
        manifest = f"manifest-{number:06d}.json"
        text = json.dumps({"owner": owner, "number": number, "files": listed})
        write_bytes(place, manifest, text.encode())
        needed = {manifest, *(target for target, _ in copied.values())}
        left = [f"{path}/{o}" for o in (old.objects if old else ()) if o not in needed]
        list(pool.map(remote.delete_file, left))


def read_newest_index(place: Location) -> CopyIndex | None:
    """Find the newest whole copy; None where there is none. Raises OSError."""
    remote, path = place.open()
    for _ in range(TRIES):
        sizes = {info.base_name: info.size for info in _listed(place) if info.is_file}
        manifests = sorted((n for n in sizes if n.startswith("manifest-")), reverse=True)
        try:
            for manifest in manifests:
                with remote.open_input_stream(f"{path}/{manifest}") as source:
                    found = _read(source.read(), tuple(sizes))
                if found and all(sizes.get(o) == s.size for o, s in found.files.values()):
                    return found
        except FileNotFoundError:  # its owner has just made the next one
            continue
        return None
    raise OSError(f"the copy in {place} changes too fast to be read")


def download(
    place: Location,
    folder: Path,
    owner: str | None = None,
    wanted: Callable[[str], bool] = lambda name: True,
) -> bool:
    """Fetch the files that are `wanted` of the newest copy; False where this owner has none.

    Raises OSError.
    """
    remote, path = place.open()
    for attempt in range(TRIES):
        found = read_newest_index(place)
        if found is None or owner not in (None, found.owner):
            return False

        def download(entry: tuple[str, tuple[str, FileStamp]]) -> None:
            name, (source, stamp) = entry
            target = folder / name
            if not target.resolve().is_relative_to(folder.resolve()):
                raise StorageTimeoutError(
                    f"the copy in {place} holds {name!r}, which leaves the folder"
                )
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f"{target.name}.part")
            with remote.open_input_stream(f"{path}/{source}") as stream, part.open("wb") as sink:
                while block := stream.read(BLOCK):
                    sink.write(block)
            os.utime(part, ns=(stamp.time, stamp.time))
            part.replace(target)

        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                list(pool.map(download, ((n, f) for n, f in found.files.items() if wanted(n))))
        except FileNotFoundError:
            if attempt == TRIES - 1:
                raise
            continue
        return True
    return False


def list_folders(place: Location) -> list[str]:
    """List the folders in a place; raises OSError."""
    return sorted(info.base_name for info in _listed(place) if not info.is_file)


def delete(place: Location) -> None:
    """Delete a place with everything in it; raises OSError."""
    remote, path = place.open()
    with contextlib.suppress(FileNotFoundError):
        remote.delete_dir(path)


def check_access(place: Location) -> None:
    """Write, read and delete a small file; raises OSError."""
    folder = place / f".try-{uuid.uuid4().hex[:12]}"
    write_bytes(folder, "file", folder.below.encode())
    if read_bytes(folder, "file") != folder.below.encode():
        raise StorageTimeoutError(f"{place} gives back something else than was written")
    delete(folder)


def retry_until_reachable(work: Callable[[], T]) -> T:
    """Do something with the remote storage, again and again while it does not answer.

    Raises RemoteError when PATIENCE is spent.
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


def _listed(place: Location) -> list[Any]:
    from pyarrow import fs

    remote, path = place.open()
    found: list[Any] = remote.get_file_info(fs.FileSelector(path, allow_not_found=True))
    return found


def _write(source: Any, remote: Any, target: str, limit: float) -> int:
    # A stream that ends with an error leaves half an object, which no manifest names.
    size = 0
    with remote.open_output_stream(target) as sink:
        while block := source.read(int(min(limit - size, BLOCK))):
            sink.write(block)
            size += len(block)
    return size


def _read(text: bytes, objects: tuple[str, ...]) -> CopyIndex | None:
    try:
        told = json.loads(text)
        files = {n: (str(o), FileStamp(size, at)) for n, (o, size, at) in told["files"].items()}
        return CopyIndex(str(told["owner"]), int(told["number"]), files, objects)
    except (ValueError, KeyError, TypeError):  # half a manifest
        return None


def trial_owner(values: Mapping[str, Any]) -> str:
    """Say whose copy it is: a trial that was forgotten may come back with other values."""
    return json.dumps(dict(values), sort_keys=True)
