"""Names of the classes of a user's data, saved in the checkpoint of a classifier.

A trained model needs them where the data are not available.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainables import checkpoint
from trainables.errors import UserError


class ClassNames(nn.Module):
    """A module without weights that is saved with the names of the classes.

    It returns its input: it may be the last module of a classifier, or a part of its own.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def forward(self, logits: Tensor) -> Tensor:
        return logits

    # A checkpoint writes this state as JSON beside the tensors.
    def get_extra_state(self) -> list[str]:
        return list(self.names)

    def set_extra_state(self, state: Any) -> None:
        self.names = tuple(state)


def read_class_names(folder: Path) -> tuple[str, ...]:
    """Read the names from a checkpoint; raises UserError if it has none."""
    if (saved := checkpoint.read(folder)) is None:
        raise UserError(f"no complete checkpoint in {folder}")
    for part in saved[1]["parts"].values():
        for name, state in part.items():
            if name.endswith("_extra_state"):
                return tuple(state)
    raise UserError(f"the checkpoint in {folder} contains no class names")
