"""One large archive from a data set's homepage: fetched in as many goes as it takes, unpacked."""

from __future__ import annotations

import sys
import tarfile
import time
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from rich.console import Console
from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

from trainables import cache as caches
from trainables.data.source import DataMissingError
from trainables.errors import UserError

PATIENCE = 20  # seconds without a byte
PAUSES = (1, 2, 4, 8, 16)  # seconds between tries that brought nothing
CHUNK = 1 << 20


def download_archive(url: str, cache: Path, name: str, *, download: bool = True) -> Path:
    """Give the folder of an archive's files, downloading and unpacking it first where needed.

    What was received stays in `downloads/` in the cache until it is whole, so that the next call
    goes on there. Raises DataMissingError where the archive is not available, or with `download`
    False is not here; UserError where it is damaged.
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
                f"{url} was downloaded, but is damaged: {error}\nit was deleted: try again"
            ) from error

    folder = caches.get_or_build(cache, f"{name}-files", key, build)
    archive.unlink(missing_ok=True)
    return folder


def download_file(url: str, target: Path) -> None:
    """Download a file, going on after a broken connection and after an earlier process.

    It has its name only when it has the length that the server announced. Raises
    DataMissingError where the server does not answer, or after several tries in a row without a
    byte.
    """
    part, version = (target.with_name(target.name + end) for end in (".part", ".version"))
    print(f"downloading {url} to {part}", file=sys.stderr)
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(target.name, total=None)
        most, tries, begun = _length(part), 0, False
        while True:
            total, trouble = _go_on(url, part, version, progress, task)
            if total is not None and _length(part) == total:
                break
            tries = 0 if _length(part) > most else tries + 1
            most = max(most, _length(part))
            begun = begun or total is not None
            if not begun or tries > len(PAUSES):
                raise DataMissingError(
                    f"{url} cannot be downloaded: {trouble}\n"
                    f"{_length(part):,} bytes are here; the next start goes on from there"
                )
            time.sleep(PAUSES[max(0, tries - 1)])
    part.rename(target)
    version.unlink(missing_ok=True)


def _go_on(
    url: str, part: Path, version: Path, progress: Progress, task: TaskID
) -> tuple[int | None, str]:
    """Append what one connection brings; gives the whole file's length and what went wrong."""
    have = _length(part) if version.is_file() else 0
    request = Request(url, headers={"Accept-Encoding": "identity"})
    if have:
        # Without the second header, halves of two versions of a file could be put together.
        request.add_header("Range", f"bytes={have}-")
        request.add_header("If-Range", version.read_text())
    try:
        response: HTTPResponse = urlopen(request, timeout=PATIENCE)
    except HTTPError as error:
        if error.code != 416:
            return None, f"{error.code} {error.reason}"
        whole = (error.headers.get("Content-Range") or "").rpartition("/")[2]
        if whole == str(have):
            return have, ""
        part.unlink()  # it has changed on the server
        return _go_on(url, part, version, progress, task)
    except (OSError, HTTPException, ValueError) as error:
        return None, str(getattr(error, "reason", None) or error)
    with response:
        length = response.headers.get("Content-Length")
        if length is None:
            return None, "the server does not say how large it is"
        start = have if response.status == 206 else 0
        progress.update(task, total=start + int(length), completed=start)
        etag = response.headers.get("ETag") or ""
        mark = etag if etag.startswith('"') else response.headers.get("Last-Modified")
        version.unlink(missing_ok=True)
        with part.open("ab" if start else "wb") as file:
            if mark:
                version.write_text(mark)
            while True:
                try:
                    chunk = response.read(CHUNK)
                except (OSError, HTTPException) as error:
                    return start + int(length), str(error)
                if not chunk:
                    return start + int(length), "the connection broke off"
                file.write(chunk)
                progress.advance(task, len(chunk))


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
