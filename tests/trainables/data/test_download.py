"""Archives from a local server with Range, interruptions, changed files and wrong sizes."""

from __future__ import annotations

import io
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from trainables.data import download
from trainables.data.source import DataMissingError
from trainables.errors import UserError


def _tar(*extra: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("Images/office/a.jpg", "Images/kitchen/b c.jpg"):
            content = np.random.default_rng(len(name)).bytes(150_000)
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for member in extra:
            tar.addfile(member)
    return file.getvalue()


class Site:
    """The content and behavior of the server, and a record of the requests."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.etag: str | None = '"one"'
        self.most = len(content)  # bytes per connection
        self.failures: list[int] = []  # codes to answer with first
        self.ranges = True
        self.starts: list[int] = []
        self.url = ""


@contextmanager
def _serving(site: Site) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if site.failures:
                self.send_error(site.failures.pop())
                return
            start, total = 0, len(site.content)
            asked = self.headers.get("Range")
            if asked and site.ranges and self.headers.get("If-Range") == site.etag:
                start = int(asked.removeprefix("bytes=").rstrip("-"))
            site.starts.append(start)
            if start >= total:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{total}")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            if start:
                self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
            self.send_header("Content-Length", str(total - start))
            if site.etag:
                self.send_header("ETag", site.etag)
            self.end_headers()
            self.wfile.write(site.content[start : start + site.most])

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site.url = f"http://127.0.0.1:{server.server_port}/rooms.tar"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "DELAYS", (0, 0))
    monkeypatch.setattr(download, "CHUNK", 10_000)
    monkeypatch.setenv("no_proxy", "*")


def test_an_archive_is_downloaded_and_unpacked_once(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        folder = download.download_archive(site.url, tmp_path, "rooms")
        assert (folder / "Images" / "kitchen" / "b c.jpg").stat().st_size == 150_000
        assert download.download_archive(site.url, tmp_path, "rooms") == folder
        assert download.download_archive(site.url, tmp_path, "rooms", download=False) == folder
        assert site.starts == [0]
    assert not list((tmp_path / "downloads").iterdir())


def test_an_interrupted_download_resumes(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        site.most = 120_000
        download.download_file(site.url, tmp_path / "x.tar")
        assert site.starts == [0, 120_000, 240_000]
    assert (tmp_path / "x.tar").read_bytes() == site.content
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar"]


def test_the_next_process_resumes(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        site.most = 200_000
        original = download._resume

        def killed(*args: object) -> tuple[int | None, str]:
            original(*args)  # type: ignore[arg-type]
            raise KeyboardInterrupt

        with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(download, "_resume", killed)
            download.download_archive(site.url, tmp_path, "rooms")
        assert [path.stat().st_size for path in (tmp_path / "downloads").glob("*.part")] == [
            200_000
        ]
        download.download_archive(site.url, tmp_path, "rooms")
        assert site.starts == [0, 200_000]


@pytest.mark.parametrize("etag", ['"two"', None])
def test_a_changed_file_is_downloaded_again(tmp_path: Path, etag: str | None) -> None:
    with _serving(Site(_tar())) as site:
        (tmp_path / "x.tar.part").write_bytes(b"old" * 1000)
        (tmp_path / "x.tar.version").write_text('"one"')
        site.etag = etag
        download.download_file(site.url, tmp_path / "x.tar")
    assert (tmp_path / "x.tar").read_bytes() == site.content


def test_a_server_without_ranges_starts_again(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        (tmp_path / "x.tar.part").write_bytes(site.content[:1000])
        (tmp_path / "x.tar.version").write_text('"one"')
        site.ranges = False
        download.download_file(site.url, tmp_path / "x.tar")
    assert (tmp_path / "x.tar").read_bytes() == site.content


@pytest.mark.parametrize("more", [b"", b"too much"])
def test_a_part_that_is_complete_or_too_long(tmp_path: Path, more: bytes) -> None:
    with _serving(Site(_tar())) as site:
        (tmp_path / "x.tar.part").write_bytes(site.content + more)
        (tmp_path / "x.tar.version").write_text('"one"')
        download.download_file(site.url, tmp_path / "x.tar")
    assert (tmp_path / "x.tar").read_bytes() == site.content


def test_a_permanent_failure_raises_and_keeps_the_part(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        site.most, site.etag = 50_000, None  # no validator: every download starts at 0
        with pytest.raises(DataMissingError, match="closed early\n50,000 bytes were received"):
            download.download_file(site.url, tmp_path / "x.tar")
        assert len(site.starts) == 4
    assert not (tmp_path / "x.tar").exists()


def test_temporary_errors_are_retried(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        site.most = 250_000
        original = download._resume

        def then_busy(*args: object) -> tuple[int | None, str]:
            result = original(*args)  # type: ignore[arg-type]
            if len(site.starts) == 1 and not site.failures:
                site.failures = [503, 503]
                site.starts.append(-1)
            return result

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download, "_resume", then_busy)
            download.download_file(site.url, tmp_path / "x.tar")
        assert site.starts == [0, -1, 250_000]


def test_an_unavailable_server_or_file(tmp_path: Path) -> None:
    with _serving(Site(_tar())) as site:
        site.failures = [404]
        with pytest.raises(DataMissingError, match="404 Not Found"):
            download.download_file(site.url, tmp_path / "x.tar")
    with pytest.raises(DataMissingError, match=r"cannot be downloaded: .*refused"):
        download.download_file(site.url, tmp_path / "x.tar")
    with pytest.raises(DataMissingError, match="no earlier download"):
        download.download_archive(site.url, tmp_path, "rooms", download=False)


def test_a_damaged_archive_is_deleted(tmp_path: Path) -> None:
    with _serving(Site(_tar()[:200_000])) as site:
        with pytest.raises(UserError, match="damaged"):
            download.download_archive(site.url, tmp_path, "rooms")
        assert not list((tmp_path / "downloads").iterdir())
        site.content = _tar()
        site.most = len(site.content)
        assert download.download_archive(site.url, tmp_path, "rooms").is_dir()


@pytest.mark.parametrize("name", ["../outside", "link"])
def test_an_archive_with_paths_outside_is_rejected(tmp_path: Path, name: str) -> None:
    member = tarfile.TarInfo(name)
    if name == "link":
        member.type, member.linkname = tarfile.SYMTYPE, "/etc"
    with (
        _serving(Site(_tar(member))) as site,
        pytest.raises(UserError, match="damaged"),
    ):
        download.download_archive(site.url, tmp_path / "cache", "rooms")
    assert not (tmp_path / "outside").exists()
    assert not list((tmp_path / "cache").glob("rooms-files-*/"))
