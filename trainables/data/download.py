"""Download of large files that resumes after an interruption, and unpacking of archives."""

from __future__ import annotations

import sys
import tarfile
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

from trainables import cache as caches
from trainables.console import SafeConsole
from trainables.data.source import DataMissingError
from trainables.errors import UserError
from trainables.terminal import print_text

TIMEOUT = 20  # seconds without a byte
DELAYS = (1, 2, 4, 8, 16)  # seconds between attempts that received nothing
CHUNK = 1 << 20


def download_archive(url: str, cache: Path, name: str, *, download: bool = True) -> Path:
    """Return the folder of an archive's files; download and unpack it first if needed.

    A partial download stays in `downloads/` in the cache, and the next call resumes it. Raises
    DataMissingError if the archive is not available, or with `download` False not in the cache;
    UserError if it is damaged.
    """
    key = {"url": url}
    if not download and not caches.cache_path(cache, f"{name}-files", key).is_dir():
        raise DataMissingError(f"{name}: {cache} holds no earlier download of {url}")
    archive = cache / "downloads" / f"{name}-{url.rpartition('/')[2]}"

    def build(draft: Path) -> None:
        archive.parent.mkdir(parents=True, exist_ok=True)
        if not archive.is_file():
            download_file(url, archive)
        try:
            with tarfile.open(archive) as tar:
                tar.extractall(draft, filter="data")
        except (tarfile.TarError, EOFError) as error:
            archive.unlink()
            raise UserError(
                f"the archive downloaded from {url} is damaged: {error}\n"
                "it was deleted; start again to download it again"
            ) from error

    folder = caches.get_or_build(cache, f"{name}-files", key, build)
    archive.unlink(missing_ok=True)
    return folder


def download_file(url: str, target: Path) -> None:
    """Download a file; resume after a broken connection or an earlier process.

    The file gets its name when it has the length that the server announced. Raises
    DataMissingError if the server does not answer, or after several attempts in a row that
    received nothing.
    """
    part, version = (target.with_name(target.name + end) for end in (".part", ".version"))
    print_text(f"downloading {url} to {part}", sys.stderr)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    console = SafeConsole(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(target.name, total=None)
        largest, failures, has_started = _get_size(part), 0, False
        while True:
            total, reason = _resume(url, part, version, progress, task)
            if total is not None and _get_size(part) == total:
                break
            failures = 0 if _get_size(part) > largest else failures + 1
            largest = max(largest, _get_size(part))
            has_started = has_started or total is not None
            if not has_started or failures > len(DELAYS):
                raise DataMissingError(
                    f"{url} cannot be downloaded: {reason}\n"
                    f"{_get_size(part):,} bytes were received; start again to resume from there"
                )
            time.sleep(DELAYS[max(0, failures - 1)])
    part.rename(target)
    version.unlink(missing_ok=True)


def _resume(
    url: str, part: Path, version: Path, progress: Progress, task: TaskID
) -> tuple[int | None, str]:
    """Append what one connection receives; return the length of the file and the error."""
    received = _get_size(part) if version.is_file() else 0
    request = Request(url, headers={"Accept-Encoding": "identity"})
    if received:
        # Without If-Range, parts of two versions of the file could be joined.
        request.add_header("Range", f"bytes={received}-")
        request.add_header("If-Range", version.read_text())
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT)
    except HTTPError as error:
        if error.code != 416:
            return None, f"{error.code} {error.reason}"
        total = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if total == str(received):
            return received, ""
        part.unlink()  # the file on the server has changed
        return _resume(url, part, version, progress, task)
    except (OSError, HTTPException, ValueError) as error:
        return None, str(getattr(error, "reason", None) or error)
    with response:
        length = response.headers.get("Content-Length")
        if length is None:
            return None, "the server does not send the size of the file"
        start = received if response.status == 206 else 0
        progress.update(task, total=start + int(length), completed=start)
        etag = response.headers.get("ETag") or ""
        validator = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        version.unlink(missing_ok=True)
        with part.open("ab" if start else "wb") as file:
            if validator:
                version.write_text(validator)
            while True:
                try:
                    chunk = response.read(CHUNK)
                except (OSError, HTTPException) as error:
                    return start + int(length), str(error)
                if not chunk:
                    return start + int(length), "the connection was closed early"
                file.write(chunk)
                progress.advance(task, len(chunk))


def _get_size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
