"""Load a data set for a run: from its folder or cache, of its kind, downloaded where it may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from trainables.data import images, photos, text
from trainables.data.images import ImageData
from trainables.data.losses import ACCEPTED
from trainables.data.source import Source
from trainables.data.svhn import SVHN
from trainables.data.text import TextData
from trainables.run import Run


def load_images(source: Source, run: Run) -> ImageData:
    """Load images of one size; raises DataMissingError where they are not available."""
    return images.load(source, **_settings(run))


def load_photos(source: Source, run: Run, size: int, accept_losses: float = ACCEPTED) -> ImageData:
    """Load photographs as size x size images; raises DataMissingError as `load_images` does.

    Raises UserError if a larger fraction than `accept_losses` cannot be used.
    """
    return photos.load(source, size=size, accept_losses=accept_losses, **_settings(run))


def load_texts(source: Source, run: Run) -> TextData:
    """Load labelled texts; raises DataMissingError where they are not available."""
    return text.load(source, **_settings(run))


def load_svhn(run: Run, extra: bool = False) -> ImageData:
    """Load SVHN; the extra digits join train only, so validation and test stay the same."""
    plain = load_images(SVHN, run)
    if not extra:
        return plain
    both = load_images(replace(SVHN, train=("train", "extra")), run)
    # The files are read one after the other, so the extra digits follow those of train.
    rows = torch.arange(len(plain.train.pixels), len(both.train.pixels))
    train = replace(both.train, rows=torch.cat([plain.train.rows, rows]))
    return replace(plain, train=train, fingerprint=both.fingerprint)


def _settings(run: Run) -> dict[str, Any]:
    return {
        "folder": run.data,
        "cache": run.cache,
        "kind": run.source,
        "download": run.download,
    }
