"""Does more depth help a convolutional network, with and without skip connections?

An adapter of `filters` channels, two stages of `blocks` blocks of two convolutions, the second
stage twice as wide, mean pool and linear head: 4 blocks + 2 layers. The published table has 6, 22
and 30 layers, each without and with skips. How they were trained was not published; here it is as
in a second published comparison, 30 epochs of Adam at 4e-4, with batches of 128.

That second one has no numbers: without skips 20 layers beat 56, with skips 20 beat 10. Two stages
make 10 layers (`blocks=2`), but not 20 and 56: their nearest are 18 (`blocks=4`) and 54
(`blocks=13`). Three stages make 6 blocks + 2 layers: `--set stages=3 --set blocks=3` are 20, and
`--set stages=3 --set blocks=9` are 56.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import Published, SearchSpace
from trainables.data.cifar10 import CIFAR10
from trainables.data.images import ImageData, load
from trainables.models.residual import block_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, restored, truth

if TYPE_CHECKING:
    import optuna

PUBLISHED = {
    (1, False): 0.7091,
    (1, True): 0.6891,
    (5, False): 0.7418,
    (5, True): 0.7975,
    (7, False): 0.6916,
    (7, True): 0.8034,
}
"""Validation accuracy by blocks per stage and skip."""
NAMES = {1: "SmallCNN", 5: "MediumCNN", 7: "LargeCNN"}


@dataclass(frozen=True)
class Config:
    """Settings of one training; `blocks` are per stage, `shift` is in pixels."""

    seed: int = 0
    blocks: int = 1
    skip: bool = False
    stages: int = 2
    filters: int = 16
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 4e-4
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 128
    shift: int = 0
    flip: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if min(self.blocks, self.filters, self.batch_size, self.epochs) < 1:
            raise ValueError("blocks, filters, batch_size and epochs must be at least 1")
        if not 1 <= self.stages <= 5:
            raise ValueError(f"stages must be 1 to 5, not {self.stages}: each halves 32 pixels")
        if not 0 <= self.shift < 32:
            raise ValueError(f"shift must be in [0, 32) pixels, not {self.shift}")


def network(config: Config) -> torch.nn.Module:
    """Build the net of a depth, with or without skips; (n, 3, 32, 32) -> (n, 10)."""
    return block_cnn(
        blocks=config.blocks, filters=config.filters, skip=config.skip, stages=config.stages
    )


def images(run: Run) -> ImageData:
    """Load CIFAR-10 for a run."""
    return load(CIFAR10, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Train one net."""
    seed_everything(config.seed)
    yield from classify(config, run, network(config), images(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch CIFAR-10 and decode it once for this machine."""
    return truth(images(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose depth and skips; how the net is trained is the same for all."""
    return {
        "blocks": trial.suggest_int("blocks", 1, 13),
        "skip": trial.suggest_categorical("skip", [False, True]),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, 32, 32) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), CIFAR10.shape, CIFAR10.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=30,
    prepare=prepare,
    compare=("blocks", "skip"),
    arms=tuple({"blocks": blocks, "skip": skip} for blocks, skip in PUBLISHED),
    published=tuple(
        Published(
            f"{NAMES[blocks]}{' with skips' if skip else ''}, {4 * blocks + 2} layers",
            accuracy,
            "validation accuracy",
            of={"blocks": blocks, "skip": skip},
        )
        for (blocks, skip), accuracy in PUBLISHED.items()
    ),
    restore=restore,
)
