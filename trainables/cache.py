"""Things built once per machine under a lock, keyed by their settings: decoded data, features."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from trainables.errors import UserError

UNUSABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def cache_path(cache: Path, name: str, key: Mapping[str, object]) -> Path:
    """Give the folder that `built` uses for these settings, whether it is there or not."""
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return cache / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def get_or_build(
    cache: Path, name: str, key: Mapping[str, object], build: Callable[[Path], None]
) -> Path:
    """Give the folder of a thing with these settings, building it first where it is missing.

    `build` fills the empty folder it is given. Of concurrent callers one builds, the others
    wait; a build that fails or is killed leaves nothing that a later call would take for the
    whole. Raises UserError where the cache cannot be written.
    """
    folder = cache_path(cache, name, key)
    if folder.is_dir():
        return folder
    with _writable(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not folder.is_dir():
                _build(folder, key, build)
    return folder


def hash_file(path: Path, cache: Path) -> str:
    """Give a file's sha256 in hex, remembered in the cache by path, size and time of change."""
    path = path.resolve()
    state = path.stat()
    identity = f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()
    memo = cache / "hashes" / hashlib.sha256(identity).hexdigest()[:24]
    if memo.is_file() and len(known := memo.read_text()) == 64:
        return known
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    with _writable(cache):
        memo.parent.mkdir(parents=True, exist_ok=True)
        draft = memo.with_name(f"{memo.name}.{_process()}")
        draft.write_text(found)
        draft.rename(memo)
    return found


def _build(folder: Path, key: Mapping[str, object], build: Callable[[Path], None]) -> None:
    for stale in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(stale, ignore_errors=True)
    draft = folder.with_name(f"{folder.name}.building-{_process()}")
    draft.mkdir()
    try:
        build(draft)
        (draft / "key.json").write_text(json.dumps(key, indent=2, sort_keys=True))
        # Without this a machine that loses power may keep the rename and lose the contents.
        for path in [*draft.rglob("*"), draft]:
            _sync(path)
        draft.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _process() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _writable(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A write to a full disk names no file; an error that names a file elsewhere is not ours.
        path = Path(os.fsdecode(error.filename)) if error.filename else cache
        ours = path.is_relative_to(cache) or cache.is_relative_to(path)
        if error.errno not in UNUSABLE or not ours:
            raise
        raise UserError(
            f"the cache folder {cache} cannot be written: {error.strerror or error}\n"
            "free some space there, or set TUNERY_CACHE to a folder that can be written"
        ) from error

