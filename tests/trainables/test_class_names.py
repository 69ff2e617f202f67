"""Class names of a user's data in a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from trainables import checkpoint
from trainables.class_names import ClassNames, read_class_names
from trainables.errors import UserError

NAMES = ("<b>x", "cats|dogs", "日本 #1", "it's")


def test_names_are_read_from_a_checkpoint(tmp_path: Path) -> None:
    for number, parts in enumerate(
        (
            {"model": torch.nn.Linear(2, 4), "classes": ClassNames(NAMES)},
            {"model": torch.nn.Sequential(torch.nn.Linear(2, 4), ClassNames(NAMES))},
        )
    ):
        folder = tmp_path / str(number)
        tree = checkpoint.select_inference_state(checkpoint.capture(parts), parts)
        checkpoint.write(folder, {"report": 1}, tree)
        assert read_class_names(folder) == NAMES
    values = torch.ones(3)
    assert torch.equal(ClassNames(NAMES)(values), values)


def test_a_checkpoint_without_names_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no complete checkpoint"):
        read_class_names(tmp_path)
    parts = {"model": torch.nn.Linear(2, 4)}
    checkpoint.write(tmp_path, {"report": 1}, checkpoint.capture(parts))
    with pytest.raises(UserError, match="contains no class names"):
        read_class_names(tmp_path)
