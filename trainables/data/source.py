"""Where a data set of labelled images comes from, and what a user without it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from trainables.errors import UserError

Arrays = tuple[np.ndarray, np.ndarray]
"""Images (uint8, N x C x H x W) and their labels (int64, N)."""

DataKind = Literal["real", "synthetic", "placeholder"]


@dataclass(frozen=True)
class Source:
    """A data set of labelled images of one size, or of photographs, and where it is to be found.

    Photographs have any size and are read by `trainables.data.photos`, which takes classes as it
    finds them.
    """

    name: str  # also of its folder
    hub: str  # empty: not on the hub
    shape: tuple[int, int, int]  # channels, height, width; of photographs, once prepared
    classes: tuple[str, ...]  # label i is classes[i]
    hub_config: str | None = None
    image: tuple[str, ...] = ("image",)  # column: the first of these that is there
    label: str = "label"  # column
    train: tuple[str, ...] = ("train",)  # splits of the files that together are trained on
    synthetic: Callable[[int, int], Arrays] | None = None  # of count and seed
    photos: bool = False
    tar: str = ""  # address of an archive of photographs, a folder per class
    tar_size: str = ""  # of that archive, as people read it
    drop: tuple[str, ...] = ()  # kinds of photographs left out: see trainables.data.prepare


class DataMissingError(UserError):
    """A data set that is neither in the folder, nor in the cache, nor to be had from the hub."""


def describe_options(source: Source) -> str:
    """Say what a user without the data can do."""
    files = "a folder per class, Parquet files" if source.photos else "these files"
    lines = [
        f"  --data-dir FOLDER or TUNERY_DATA=FOLDER: one that holds {files} or {source.name}/"
    ]
    if source.tar:
        size = f" ({source.tar_size})" if source.tar_size else ""
        lines.append(f"  TUNERY_DOWNLOAD={source.name}: {source.tar}{size} is downloaded, once")
    else:
        hub = f"{source.hub} from the hub is downloaded, once"
        lines.append(f"  neither of them, and a network: {hub}")
    if source.synthetic:
        lines.append("  --data synthetic: images drawn by this program")
    return "ways out:\n" + "\n".join(lines)
