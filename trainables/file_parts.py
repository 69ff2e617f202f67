"""Files and folders in a checkpoint: what an object, or a framework, saves in its own format.

A checkpoint names each of its files with a checksum. They are never changed once they are there,
so that the checkpoints `last` and `best` may share them by hard links.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from trainables.errors import TaskError
from trainables.integrity import sum_file

FRAMEWORK = "checkpoint_dir"
"""Name of the part that is the folder of a framework, `Run.checkpoint_dir`."""
WORKING, DRAFT = ".files", ".draft"
"""Folders of a run: `checkpoint_dir`, and the files of the report that is being saved."""
NOT_COPIED = re.compile(r"^\.|\.part$")
"""Names that a copy in remote storage leaves out."""
Sums = dict[str, list[int]]
"""The checksum of each file, by its path below a folder."""


class FilePart(Protocol):
    """Saves itself as a file or a folder, and loads itself from it."""

    def save(self, path: Path) -> Any:
        """Write the file or folder `path`, which does not exist."""

    def load(self, path: Path) -> Any:
        """Read it again, and leave it as it is."""


def is_file_part(part: Any) -> bool:
    """Return whether an object has `save(path)` and `load(path)`, and no `state_dict`."""
    methods = [callable(getattr(part, name, None)) for name in ("save", "load", "state_dict")]
    return methods == [True, True, False] and not isinstance(part, type)


def save_part(part: FilePart, name: str, folder: Path) -> Path:
    """Return the path below a folder to which a part has saved itself."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    part.save(path)
    if not path.exists():
        raise TaskError(
            f"the part {name!r} ({type(part).__name__}) has saved nothing to the path that its "
            "method `save` was called with\nwrite a file or a folder of exactly that path"
        )
    return path


def place(sources: Mapping[str, Path], folder: Path) -> Sums:
    """Put files and folders into a new folder, by their names, and return the checksums.

    They are linked where the file system can, and must not change afterwards.
    """
    shutil.rmtree(folder, ignore_errors=True)
    sums: Sums = {}
    for name, source in sources.items():
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_dir():
                continue
            below = Path(name) / path.relative_to(source)
            if any(NOT_COPIED.search(part) for part in below.parts):
                raise TaskError(
                    f"a checkpoint has the file {below.as_posix()!r}: a name that begins with a "
                    "dot or ends with .part is not copied to other machines\nrename the file"
                )
            (folder / below).parent.mkdir(parents=True, exist_ok=True)
            _link(path, folder / below)
            sums[below.as_posix()] = sum_file(path)
    return sums


def check(folder: Path, sums: Mapping[str, list[int]]) -> None:
    """Raise FileNotFoundError or ValueError where the files in a folder are not those."""
    if not isinstance(sums, dict):
        raise ValueError(f"the checksums of its files are a {type(sums).__name__}")
    for name, expected in sums.items():
        if sum_file(folder / name) != expected:
            raise ValueError(f"{folder.name}/{name} does not match its checksum")


@dataclass(frozen=True)
class Folder:
    """A folder as a part; what it holds is copied, since its owner may change it in place."""

    path: Path

    def save(self, path: Path) -> None:
        """Copy the folder to a path."""
        shutil.copytree(self.path, path)

    def load(self, path: Path) -> None:
        """Replace the content of the folder by that of a copy."""
        shutil.rmtree(self.path, ignore_errors=True)
        if path.is_dir():
            shutil.copytree(path, self.path)
        else:  # a copy of an empty folder has no files
            self.path.mkdir(parents=True)


def create_folder(within: Path | None) -> Folder:
    """Create the folder for the files of a framework, empty, below the folder of a run.

    Without one, it is a temporary folder, which is deleted with the returned object.
    """
    above = Path(tempfile.mkdtemp()) if within is None else within
    folder = Folder(above / WORKING)
    shutil.rmtree(folder.path, ignore_errors=True)
    folder.path.mkdir(parents=True)
    if within is None:
        weakref.finalize(folder, shutil.rmtree, above, ignore_errors=True)
    return folder


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links, or another one
        shutil.copy2(source, target)
