"""Can a network with fewer parameters than there are training images beat one with more?

A perceptron and three convolutional networks with skips, told apart by their filters, on MNIST.
The published table has the perceptron, CNN1 and CNN2 (0.93, 0.17 and 0.68 million parameters)
and calls CNN1 the one with fewer parameters than samples. But MNIST has 60,000 training images,
fewer than CNN1 has parameters, so that CNN0 stands in for the question: 16 filters, 43,000
parameters, and 54,000 images that are trained on. All are trained alike; of the training nothing
was published.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import torch

from searchspaces import SearchSpace
from trainables.data.images import ImageData, load
from trainables.data.mnist import MNIST
from trainables.models.mlp import mlp
from trainables.models.residual import block_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, restored, truth

if TYPE_CHECKING:
    import optuna

Model = Literal["mlp", "cnn0", "cnn1", "cnn2"]
FILTERS = {"cnn0": 16, "cnn1": 32, "cnn2": 64}


@dataclass(frozen=True)
class Config:
    """Settings of one training, the same for every model; the learning rate stays as it is."""

    seed: int = 0
    model: Model = "mlp"
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 128
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if min(self.batch_size, self.epochs) < 1:
            raise ValueError("batch_size and epochs must be at least 1")


def network(config: Config) -> torch.nn.Module:
    """Build the named model; (n, 1, 28, 28) -> (n, 10)."""
    if config.model == "mlp":
        return mlp(28 * 28, [512, 512, 512], 10)
    return block_cnn(blocks=2, filters=FILTERS[config.model], skip=True, channels=1)


def images(run: Run) -> ImageData:
    """Load MNIST for a run."""
    return load(MNIST, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Train one model."""
    seed_everything(config.seed)
    yield from classify(config, run, network(config), images(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch MNIST and decode it once for this machine."""
    return truth(images(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose the model; how it is trained is the same for all."""
    return {"model": trial.suggest_categorical("model", get_args(Model))}


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained model: (n, 1, 28, 28) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), MNIST.shape, MNIST.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    prepare=prepare,
    compare=("model",),
    arms=tuple({"model": model} for model in get_args(Model)),
    restore=restore,
)
