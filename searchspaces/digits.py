"""How well does a small perceptron read handwritten digits?

The 1,797 digits of 8 x 8 pixels that ship inside scikit-learn: nothing is downloaded, and a
search is over in two minutes. Start here to write a space of your own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from searchspaces import SearchSpace
from trainables.data.images import ImageData, Split, split_stratified
from trainables.models.mlp import mlp
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, restored, truth

if TYPE_CHECKING:
    import optuna


CLASSES = tuple("0123456789")


@dataclass(frozen=True)
class Config:
    """Settings of one training; learning rates are peak values, `epochs` are per report."""

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
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if min(self.depth, self.width, self.batch_size, self.epochs) < 1:
            raise ValueError("depth, width, batch_size and epochs must be at least 1")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if not 0 <= self.shift < 8:
            raise ValueError(f"shift must be in [0, 8) pixels, not {self.shift}")


def digits() -> ImageData:
    """Load the digits and cut a fifth for test and a fifth for validation, always the same."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = torch.from_numpy((bunch.images[:, None] * 15).astype(np.uint8))
    answers = bunch.target.astype(np.int64)
    rest, tested = split_stratified(answers, 0.2, seed=0)
    kept, drawn = split_stratified(answers[rest], 0.25, seed=0)
    labels = torch.from_numpy(answers)
    return ImageData(
        train=Split(pixels, labels, torch.from_numpy(rest[kept])),
        validation=Split(pixels, labels, torch.from_numpy(rest[drawn])),
        test=Split(pixels, labels, torch.from_numpy(tested)),
        classes=CLASSES,
        fingerprint=hashlib.sha256(pixels.numpy().tobytes()).hexdigest()[:16],
        source="real",
        skipped=0,
    )


def network(config: Config) -> torch.nn.Module:
    """Build the perceptron that a configuration describes."""
    return mlp(64, [config.width] * config.depth, 10, config.dropout)


def train(config: Config, run: Run) -> Loop:
    """Train one perceptron."""
    seed_everything(config.seed)
    yield from classify(config, run, network(config), digits())


def prepare(config: Config, run: Run) -> GroundTruth:
    """Nothing to fetch: the data come with scikit-learn."""
    return truth(digits())


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the shape, the regularisation and the optimization."""
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    rates = {"adamw": (3e-4, 3e-2), "sgd": (1e-2, 1.0)}[optimizer]
    return {
        "optimizer": optimizer,
        "learning_rate": trial.suggest_float(f"learning_rate.{optimizer}", *rates, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 32, 256, step=32),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained perceptron: (n, 1, 8, 8) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), (1, 8, 8), CLASSES, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=9,
    trials=40,
    prepare=prepare,
    compare=("optimizer",),
    restore=restore,
)
