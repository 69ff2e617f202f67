"""A perceptron for the handwritten digits of scikit-learn, 8 x 8 pixels."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import nn

from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data.images import ImageData, Split
from trainables.data.splitting import split_stratified
from trainables.models.mlp import mlp
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import (
    build_ground_truth,
    restore_classifier,
    train_classifier,
)

CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `epochs` are per report."""

    seed: int = 0
    depth: int = 2
    width: int = 128
    dropout: float = 0.1
    batch_size: int = 32
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    shift: int = 1
    epochs: int = 20

    def __post_init__(self) -> None:
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_at_least(self, 1, "depth", "width", "batch_size", "epochs")
        check_fraction(self, "dropout", "label_smoothing")
        check_between(self, 0, 7, "shift")


def load_digits() -> ImageData:
    """Load the digits; a fifth is the test set, another fifth validation, always the same."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    pixels = torch.from_numpy((bunch.images[:, None] * 15).astype(np.uint8))
    targets = bunch.target.astype(np.int64)
    rest, test = split_stratified(targets, 0.2, seed=0)
    train, validation = split_stratified(targets[rest], 0.25, seed=0)
    labels = torch.from_numpy(targets)
    return ImageData(
        train=Split(pixels, labels, torch.from_numpy(rest[train])),
        validation=Split(pixels, labels, torch.from_numpy(rest[validation])),
        test=Split(pixels, labels, torch.from_numpy(test)),
        classes=CLASSES,
        fingerprint=hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16],
        source="real",
        skipped=0,
    )


def build_network(config: Config) -> nn.Module:
    """Build the perceptron: (n, 1, 8, 8) -> (n, 10)."""
    return mlp(64, [config.width] * config.depth, 10, config.dropout)


def train(config: Config, run: Run) -> Loop:
    """Train one perceptron."""
    seed_everything(config.seed)
    yield from train_classifier(config, run, build_network(config), load_digits())


def prepare(config: Config, run: Run) -> GroundTruth:
    """Return the labels; nothing is downloaded, since the data come with scikit-learn."""
    return build_ground_truth(load_digits())


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained perceptron: (n, 1, 8, 8) uint8 pixels -> (n, 10) probabilities."""
    return restore_classifier(build_network(config), (1, 8, 8), CLASSES, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_accuracy",
    mode="max",
    prepare=prepare,
    restore=restore,
    reads_data=False,
)
