"""Classifiers of photographs: class names in the checkpoint, and augmentation."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from trainables import checkpoint
from trainables.errors import UserError
from trainables.vision.classification import Normalize, Recipe
from trainables.vision.photo_classifier import (
    add_class_names,
    read_augmented,
    restore_photo_classifier,
)


def _build(classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, classes))


def _save(network: nn.Module, folder: Path) -> None:
    model = nn.Sequential(Normalize(torch.zeros(3), torch.ones(3)), network)
    checkpoint.write(folder, {"report": 1}, checkpoint.capture({"model": model}))


def test_class_names_come_from_the_checkpoint(tmp_path: Path) -> None:
    _save(add_class_names(_build(3), ["kitchen", "bar", "corridor"]), tmp_path / "best")
    predictor = restore_photo_classifier(_build, 8, tmp_path / "best")
    assert predictor.classes == ("kitchen", "bar", "corridor")
    assert predictor(predictor.example).shape == (1, 3)


def test_a_checkpoint_without_class_names_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no complete checkpoint"):
        restore_photo_classifier(_build, 8, tmp_path)
    _save(_build(3), tmp_path / "best")
    with pytest.raises(UserError, match="contains no class names"):
        restore_photo_classifier(_build, 8, tmp_path / "best")


def test_augment_turns_on_flips_shifts_and_rotations() -> None:
    config = {"size": 64, "learning_rate": 0.5}
    plain = read_augmented(SimpleNamespace(**config, augment=False))
    assert plain == Recipe(learning_rate=0.5)
    augmented = read_augmented(SimpleNamespace(**config, augment=True))
    assert augmented == Recipe(learning_rate=0.5, flip=True, shift=4, rotation=10.0)
    own = read_augmented(SimpleNamespace(**config, shift=3, flip=True))
    assert own == Recipe(learning_rate=0.5, flip=True, shift=3)
