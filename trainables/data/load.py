"""Load a data set for a run: from its folder or cache, of its kind, downloaded where it may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from trainables.data import images, photos, table, text
from trainables.data.images import ImageData
from trainables.data.losses import ACCEPTED
from trainables.data.own import OWN_TABLE
from trainables.data.source import DataMissingError, Source, describe_options
from trainables.data.svhn import SVHN
from trainables.data.table import TableData
from trainables.data.table_columns import TableColumns, TargetKind
from trainables.data.text import TextData
from trainables.data.text_columns import Columns
from trainables.errors import UserError
from trainables.predictor import Predictor
from trainables.run import Run


def load_images(source: Source, run: Run) -> ImageData:
    """Load images of one size; raises DataMissingError where they are not available."""
    return images.load(source, **_settings(source, run))


def load_photos(source: Source, run: Run, size: int, accept_losses: float = ACCEPTED) -> ImageData:
    """Load photographs as size x size images; raises DataMissingError as `load_images` does.

    Raises UserError if a larger fraction than `accept_losses` cannot be used.
    """
    settings = _settings(source, run)
    settings |= {"accept_losses": accept_losses, "may_be_few": run.model is not None}
    return photos.load(source, size=size, **settings)


def load_texts(
    source: Source, run: Run, columns: Columns | None = None, accept_losses: float = ACCEPTED
) -> TextData:
    """Load labelled texts; raises DataMissingError where they are not available.

    `columns` names columns of a user's table. Raises UserError if a larger fraction of the rows
    than `accept_losses` cannot be used.
    """
    settings = _settings(source, run, may_be_file=True)
    settings |= {"accept_losses": accept_losses, "may_be_few": run.model is not None}
    return text.load(source, columns=columns, **settings)


def load_table(
    run: Run, target: str = "", kind: TargetKind = "auto", accept_losses: float = ACCEPTED
) -> TableData:
    """Load a table of the user's own; raises DataMissingError without one.

    `target` names the column to predict, `kind` says how. Raises UserError if a larger fraction
    of the rows than `accept_losses` cannot be used.
    """
    settings = _settings(OWN_TABLE, run, may_be_file=True)
    del settings["download"]
    settings |= {"known": _find_columns(run.model) if run.model and run.model.columns else None}
    return table.load(target=target, target_kind=kind, accept_losses=accept_losses, **settings)


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


def _find_columns(model: Predictor) -> TableColumns:
    """Return the columns of a trained model."""
    kinds = model.columns.items()
    numbers, categories = (
        tuple(name for name, kind in kinds if kind == of) for of in ("number", "category")
    )
    return TableColumns(model.target, not model.classes, numbers, categories)


def _settings(source: Source, run: Run, *, may_be_file: bool = False) -> dict[str, Any]:
    if run.data is not None and run.data.is_file() and not may_be_file:
        raise UserError(
            f"--data-dir {run.data} is a file, but {source.name} needs the folder of its files"
        )
    if source.is_own and run.data is None and run.source == "real":
        raise DataMissingError(f"{source.name} has no data of its own\n{describe_options(source)}")
    return {
        "folder": run.data,
        "cache": run.cache,
        "kind": run.source,
        "download": run.download,
    }
