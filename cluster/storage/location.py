"""Locations on remote storage (`s3://`, `gs://`, `file://`), and small objects there."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

OPTIONS = {
    "s3": "allow_delayed_open=true",  # a small file is one request, and not three
    "gs": "retry_limit_seconds=10",  # and not 15 minutes
    "gcs": "retry_limit_seconds=10",
}


@dataclass(frozen=True)
class Location:
    """A folder below a pyarrow URI; it has no credentials, so that it may be printed and sent."""

    uri: str
    below: str = ""

    def __truediv__(self, name: str) -> Location:
        return Location(self.uri, f"{self.below}/{name}" if self.below else name)

    def __str__(self) -> str:
        head, mark, options = self.uri.partition("?")
        return f"{head.rstrip('/')}/{self.below}{mark}{options}" if self.below else self.uri

    def open(self) -> tuple[Any, str]:
        """Return pyarrow's filesystem and the path there; raises ValueError for a wrong URI."""
        files, path = _open_filesystem(self.uri)
        return files, f"{path.rstrip('/')}/{self.below}" if self.below else path


def open_for_writing(location: Location) -> tuple[Any, str]:
    """Return filesystem and path of a location, ready for writing; raises OSError."""
    remote, path = location.open()
    if (
        remote.type_name == "local"
    ):  # on object stores folders are only names, and creating one costs a request
        remote.create_dir(path)
    return remote, path


def write_bytes(location: Location, name: str, content: bytes) -> None:
    """Write a small object, replacing an older one; raises OSError."""
    remote, path = open_for_writing(location)
    with remote.open_output_stream(f"{path}/{name}") as sink:
        sink.write(content)


def read_bytes(location: Location, name: str) -> bytes | None:
    """Read a small object; None where there is none. Raises OSError."""
    remote, path = location.open()
    try:
        with remote.open_input_stream(f"{path}/{name}") as source:
            return bytes(source.read())
    except FileNotFoundError:
        return None


@functools.lru_cache
def _open_filesystem(uri: str) -> tuple[Any, str]:
    from pyarrow import fs  # takes 40 ms, which a local search does not need

    option = OPTIONS.get(uri.partition(":")[0], "")
    if option and option.partition("=")[0] not in uri:
        uri += ("&" if "?" in uri else "?") + option
    filesystem: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return filesystem
