"""What this machine offers: its device, and the folders of data and caches."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from trainables.arguments import read_path
from trainables.errors import UserError


def default_device(name: str | None = None) -> torch.device:
    """Return the device of that name, else the GPU where there is one; raises UserError."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(
            f"cannot use --device {name}: {reason}\nleave it out to use the default device"
        ) from error
    return device


def default_cache() -> Path:
    """Return the folder of what is built once per machine: TUNERY_CACHE, or ~/.cache/tunery.

    Raises UserError for the home folder of a user that does not exist.
    """
    return read_path("TUNERY_CACHE", os.environ.get("TUNERY_CACHE") or "~/.cache/tunery")


def find_data_folder(data_dir: Path | None) -> Path | None:
    """Return the data folder: --data-dir, else TUNERY_DATA, else None.

    A table of texts may be a file. Raises UserError where there is neither.
    """
    variable = os.environ.get("TUNERY_DATA")
    folder = data_dir or (read_path("TUNERY_DATA", variable) if variable else None)
    if folder is not None and not (folder.is_dir() or folder.is_file()):
        where = "--data-dir" if data_dir else "TUNERY_DATA"
        raise UserError(
            f"{where} {folder} is not a folder or a file\n"
            "give the folder that holds the data, or a table of texts"
        )
    return folder.resolve() if folder else None


def find_weights(folder: Path | None) -> Path | None:
    """Return the folder of --weights-dir, if any; raises UserError where it is not a folder."""
    if folder is not None and not folder.is_dir():
        raise UserError(
            f"--weights-dir {folder} is not a folder\n"
            "give the folder that holds the pretrained weights, or leave it out"
        )
    return folder.resolve() if folder else None
