"""Folders built once per machine under a lock: decoded data sets, features, teachers."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from trainables.errors import UserError

WRITE_ERRORS = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}


def cache_path(cache: Path, name: str, key: Mapping[str, object]) -> Path:
    """Return the folder that `get_or_build` uses for a key, whether or not it exists."""
    text = json.dumps(key, sort_keys=True, separators=(",", ":"))
    return cache / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def get_or_build(
    cache: Path, name: str, key: Mapping[str, object], build: Callable[[Path], None]
) -> Path:
    """Return the folder of a key, and build it first if it does not exist.

    `build` is called with an empty folder and fills it. If several processes call this at the
    same time, one of them builds and the others wait. A build that fails or is killed leaves no
    folder that a later call would use. Raises UserError if the cache cannot be written.
    """
    folder = cache_path(cache, name, key)
    if folder.is_dir():
        return folder
    with _explain_write_errors(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{folder.name}.lock"):
            if not folder.is_dir():
                _build_folder(folder, key, build)
    return folder


def check_is_regular(path: Path) -> None:
    """Raise OSError for a pipe, a socket or a device, whose content may never end, or a folder."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.ENXIO, "not a regular file", str(path))


def hash_file(path: Path, cache: Path) -> str:
    """Return a file's SHA-256 in hex, cached by path, size and modification time."""
    path = path.resolve()
    check_is_regular(path)
    state = path.stat()
    identity = f"{path}\0{state.st_size}\0{state.st_mtime_ns}".encode()
    memo = cache / "hashes" / hashlib.sha256(identity).hexdigest()[:24]
    if memo.is_file() and len(cached := memo.read_text()) == 64:
        return cached
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    with _explain_write_errors(cache):
        memo.parent.mkdir(parents=True, exist_ok=True)
        draft = memo.with_name(f"{memo.name}.{_process_id()}")
        draft.write_text(digest)
        draft.rename(memo)
    return digest


def _build_folder(folder: Path, key: Mapping[str, object], build: Callable[[Path], None]) -> None:
    for abandoned in folder.parent.glob(f"{folder.name}.building-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    draft = folder.with_name(f"{folder.name}.building-{_process_id()}")
    draft.mkdir()
    try:
        build(draft)
        (draft / "key.json").write_text(json.dumps(key, indent=2, sort_keys=True))
        # Without fsync, a machine that loses power may keep the rename and lose the contents.
        for path in [*draft.rglob("*"), draft]:
            _sync(path)
        draft.rename(folder)
        _sync(folder.parent)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _process_id() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _explain_write_errors(cache: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # A write to a full disk names no file. An error that names a file outside the cache comes
        # from `build` and is raised unchanged.
        path = Path(os.fsdecode(error.filename)) if error.filename else cache
        in_cache = path.is_relative_to(cache) or cache.is_relative_to(path)
        if error.errno not in WRITE_ERRORS or not in_cache:
            raise
        raise UserError(
            f"the cache folder {cache} cannot be written: {error.strerror or error}\n"
            "free some space there, or set TUNERY_CACHE to a writable folder"
        ) from error
