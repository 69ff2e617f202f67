"""Classifiers of photographs, whose classes are the folders that they were trained on.

The class names are saved in the checkpoint: a trained model needs them where the photographs are
not available.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainables.class_names import ClassNames, read_class_names
from trainables.data.images import ImageData
from trainables.models.backbones import Origin, build_backbone, check_size, unfreeze_last
from trainables.predictor import Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import (
    Recipe,
    read_recipe,
    restore_classifier,
    train_classifier,
)


def add_class_names(network: nn.Module, classes: Sequence[str]) -> nn.Sequential:
    """Return a classifier that saves the names of its classes in its checkpoint."""
    return nn.Sequential(network, ClassNames(classes))


def train_photo_classifier(
    config: Any,
    run: Run,
    data: ImageData,
    build: Callable[[int], nn.Module],
    mean_std: tuple[Tensor, Tensor] | None = None,
) -> Loop:
    """Train what `build` returns for a number of classes; see `train_classifier`."""
    seed_everything(config.seed)
    network = add_class_names(build(len(data.classes)), data.classes)
    yield from train_classifier(read_augmented(config), run, network, data, mean_std=mean_std)


def read_augmented(config: Any) -> Recipe:
    """Return a Config's Recipe; a field `augment` turns on flips, shifts and rotations.

    Shifts are up to a sixteenth of the image's side, rotations up to 10 degrees.
    """
    recipe = read_recipe(config)
    if not getattr(config, "augment", False):
        return recipe
    return replace(recipe, flip=True, shift=config.size // 16, rotation=10.0)


def restore_photo_classifier(
    build: Callable[[int], nn.Module], size: int, folder: Path
) -> Predictor:
    """Load what `build` returns for a number of classes from a checkpoint with class names.

    The Predictor returns (n, classes) probabilities for (n, 3, size, size) uint8 pixels.
    """
    classes = read_class_names(folder)
    network = add_class_names(build(len(classes)), classes)
    return restore_classifier(network, (3, size, size), classes, folder)


def build_pretrained(
    name: str,
    classes: int,
    run: Run | None,
    *,
    size: int,
    origin: Origin,
    unfrozen: int | None,
    hidden: int = 0,
    dropout: float = 0.0,
    alternative: str,
) -> nn.Module:
    """Build a backbone; its new head and the last `unfrozen` layers of its body are trained.

    All layers are trained if `unfrozen` is None or `origin` is "none". Weights are random
    without a run (a checkpoint is loaded next), on placeholder data and in a probe.
    `alternative` ends the error message: what to do without pretrained weights. Raises UserError
    if these are not available, or if the network does not accept size x size images.
    """
    real = run is not None and run.source == "real" and run.share == 1
    model = build_backbone(
        name,
        classes,
        origin if real else "none",
        run.weights if run else None,
        hidden=hidden,
        dropout=dropout,
        download=run is not None and run.download,
        alternative=alternative,
    )
    if run is not None:
        check_size(model, size)
    head = 2 if hidden > 0 else 1
    unfreeze_last(model, None if origin == "none" or unfrozen is None else head + unfrozen)
    return model
