"""The one file that asks a space to restore a trained model: for export, predictions and maps."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from reports.search import ReportError
from searchspaces import load, parse
from searchspaces import names as names
from trainables.errors import UserError
from trainables.run import Predictor as Predictor


def restored(space: str, params: Mapping[str, str], checkpoint: Path) -> Predictor:
    """Restore a trained model from a trial's parameters, as MLflow has them, and its weights.

    `space` is a name or the path of a space file. Raises ReportError where the space cannot.
    """
    try:
        found = load(space)
        if found.restore is None:
            raise ReportError(
                f"The space {space} does not say how to restore a trained model.\n"
                "Give its SPACE a `restore`: searchspaces/digits.py has one of two lines."
            )
        known = typing.get_type_hints(found.config)
        assignments = [f"{name}={value}" for name, value in params.items() if name in known]
        config: Any = found.config(**parse(found, assignments))
        return found.restore(config, checkpoint)
    except UserError as error:
        raise ReportError(str(error)) from error
