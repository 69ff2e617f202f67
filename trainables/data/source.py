"""Descriptions of data sets of labelled images, and where to get their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trainables import cache as caches
from trainables.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]
"""Images (uint8, N x C x H x W) and their labels (int64, N)."""


@dataclass(frozen=True)
class Source:
    """A data set of labelled images of one size, or of photographs, and where to get it.

    Photographs have any size and are read by `trainables.data.photos`, which takes the classes
    from the files.
    """

    name: str  # also the name of its folder
    hub: str  # repository on the Hugging Face hub (empty: not there)
    shape: tuple[int, int, int]  # channels, height, width; for photographs, after resizing
    classes: tuple[str, ...]  # label i is classes[i]
    hub_config: str | None = None
    image: tuple[str, ...] = ("image",)  # column: the first of these that the file has
    label: str = "label"  # column
    train: tuple[str, ...] = ("train",)  # splits of the files that together are the training set
    synthetic: Callable[[int, int], Arrays] | None = None  # takes count and seed
    photos: bool = False
    tar: str = ""  # URL of an archive of photographs, one folder per class
    tar_size: str = ""  # of that archive, such as 2.4 GB
    drop: tuple[str, ...] = ()  # notes of photographs to leave out: see trainables.data.prepare

    @property
    def is_own(self) -> bool:
        """Return whether the data are the user's in any case: they are published nowhere."""
        return not (self.hub or self.tar or self.classes)

    def has_other_classes(self, classes: Iterable[str]) -> bool:
        """Return whether these are not the classes of the data set: the data are the user's."""
        return self.is_own or (bool(self.classes) and set(classes) != set(self.classes))


class DataMissingError(UserError):
    """A data set that is not in the folder or the cache and cannot be downloaded."""


def check_downloaded(source: Source, cache: Path, key: Mapping[str, object]) -> None:
    """Raise DataMissingError if the cache has no download of a data set with that key."""
    if not caches.cache_path(cache, source.name, key).is_dir():
        raise DataMissingError(
            f"{source.name}: no --data-dir was set, and {cache} holds no earlier download of "
            f"{source.hub}\n{describe_options(source)}"
        )


def describe_options(source: Source) -> str:
    """Return the options of a user who does not have the data, as lines of an error message."""
    if source.is_own:
        form = "FOLDER: a folder of photographs, with one folder per class"
        if not source.photos:
            form = (
                "FILE: a table as CSV, TSV, JSON lines or Parquet, or a folder with one per part"
            )
        return f"name your own with --data-dir {form}"
    files = "one folder per class, Parquet files" if source.photos else "these files"
    lines = [f"  --data-dir FOLDER or TUNERY_DATA=FOLDER: a folder with {files} or {source.name}/"]
    if source.image == ("text",):
        lines.append("  --data-dir FILE: texts of your own as CSV, TSV, JSON lines or Parquet")
    if source.tar:
        size = f" ({source.tar_size})" if source.tar_size else ""
        lines.append(f"  TUNERY_DOWNLOAD={source.name}: download {source.tar}{size}, once")
    else:
        lines.append(f"  neither of them, with internet access: download {source.hub}, once")
    if source.synthetic:
        lines.append("  --data synthetic: images that this program draws")
    return "options:\n" + "\n".join(lines)
