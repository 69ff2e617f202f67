"""What this machine has: its device, and the folders of data and caches."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from trainables.errors import UserError


def default_device(name: str | None = None) -> torch.device:
    """Give the device of that name, else the GPU where there is one; raises UserError."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"--device {name} cannot be used: {reason}\nleave it out") from error
    return device


def default_cache() -> Path:
    """Give the folder of things built once per machine: `TUNERY_CACHE`, else the user's."""
    return Path(os.environ.get("TUNERY_CACHE") or "~/.cache/tunery").expanduser()


def data_folder(given: Path | None) -> Path | None:
    """Give the data folder from an option or TUNERY_DATA; raises where it is none."""
    folder = given or (Path(found) if (found := os.environ.get("TUNERY_DATA")) else None)
    if folder is not None and not folder.is_dir():
        where = "--data-dir" if given else "TUNERY_DATA"
        raise UserError(f"{where} {folder} is not a folder")
    return folder.resolve() if folder else None
