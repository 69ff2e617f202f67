"""Where things lie on remote storage (`s3://`, `gs://`, `file://`), and small objects there."""

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
    """A folder below a URI of pyarrow's; without secrets, so that it may be shown and sent."""

    uri: str
    below: str = ""

    def __truediv__(self, name: str) -> Location:
        return Location(self.uri, f"{self.below}/{name}" if self.below else name)

    def __str__(self) -> str:
        head, mark, options = self.uri.partition("?")
        return f"{head.rstrip('/')}/{self.below}{mark}{options}" if self.below else self.uri

    def open(self) -> tuple[Any, str]:
        """Give pyarrow's filesystem and the path there; raises ValueError for a wrong URI."""
        files, path = _opened(self.uri)
        return files, f"{path.rstrip('/')}/{self.below}" if self.below else path


def ready(place: Location) -> tuple[Any, str]:
    """Open a place to write there; raises OSError."""
    remote, path = place.open()
    if remote.type_name == "local":  # elsewhere folders are but names, and one costs a request
        remote.create_dir(path)
    return remote, path


def write_bytes(place: Location, name: str, content: bytes) -> None:
    """Write a small object, over an older one; raises OSError."""
    remote, path = ready(place)
    with remote.open_output_stream(f"{path}/{name}") as sink:
        sink.write(content)


def read_bytes(place: Location, name: str) -> bytes | None:
    """Read a small object; None where there is none. Raises OSError."""
    remote, path = place.open()
    try:
        with remote.open_input_stream(f"{path}/{name}") as source:
            return bytes(source.read())
    except FileNotFoundError:
        return None


@functools.lru_cache
def _opened(uri: str) -> tuple[Any, str]:
    from pyarrow import fs  # takes 40 ms that a local search need not spend

    option = OPTIONS.get(uri.partition(":")[0], "")
    if option and option.partition("=")[0] not in uri:
        uri += ("&" if "?" in uri else "?") + option
    found: tuple[Any, str] = fs.FileSystem.from_uri(uri)
    return found
