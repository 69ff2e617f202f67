"""Is a deeper network better at telling flowers when nothing is pretrained and time is short?

Plain ConvNets of 3, 5 and 7 convolutions against DenseNet-169 with its 169 layers, all from
scratch, 5 epochs. Published is an ordering, without numbers: 5 convolutions beat 3 and 7, and
each of them beats DenseNet-169. How they were trained was not published; here all have Adam with
1e-3 and batches of 32, as in `flowers_finetune`, and photographs of 128 x 128 pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import SearchSpace
from trainables.data.flowers import FLOWERS, FLOWERS102
from trainables.data.images import ImageData
from trainables.models.backbones import build_backbone, check_size
from trainables.models.convnet import convnet
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, truth
from trainables.vision.photo_classifier import images, labelled, restored_labelled

if TYPE_CHECKING:
    import optuna

NETWORKS = ("convnet3", "convnet5", "convnet7", "densenet169")


@dataclass(frozen=True)
class Config:
    """Settings of one training; `size` is an image's side in pixels.

    `network` is convnetN with an odd number of convolutions N, or any torchvision classifier.
    """

    seed: int = 0
    network: str = "convnet3"
    dataset: Literal["flowers", "flowers102"] = "flowers"
    size: int = 128
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    batch_size: int = 32
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    flip: bool = False
    shift: int = 0
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {self.momentum}")
        if min(self.batch_size, self.epochs, self.size) < 1:
            raise ValueError("batch_size, epochs and size must be at least 1")
        if not 0 <= self.shift < self.size:
            raise ValueError(f"shift must be in [0, {self.size}) pixels, not {self.shift}")
        if (count := convolutions(self.network)) is not None:
            if count % 2 == 0:
                raise ValueError(f"network={self.network!r}: a stem and pairs are an odd number")
            if self.size < 2 ** ((count + 1) // 2):
                raise ValueError(f"network={self.network!r} is too deep for size={self.size}")


def convolutions(network: str) -> int | None:
    """Read N out of convnetN; None for any other name."""
    count = network.removeprefix("convnet")
    return int(count) if count != network and count.isdecimal() else None


def build(config: Config, classes: int) -> torch.nn.Module:
    """Build the net; (n, 3, size, size) -> (n, classes)."""
    count = convolutions(config.network)
    if count is not None:
        return convnet(count, classes)
    net = build_backbone(config.network, classes)
    check_size(net, config.size)
    return net


def flowers(config: Config, run: Run) -> ImageData:
    """Load the flowers for a run."""
    source = {"flowers": FLOWERS, "flowers102": FLOWERS102}[config.dataset]
    return images(source, run, config.size)


def train(config: Config, run: Run) -> Loop:
    """Train one net from scratch."""
    data = flowers(config, run)
    seed_everything(config.seed)
    model = labelled(build(config, len(data.classes)), data.classes)
    yield from classify(config, run, model, data)


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch the flowers, and see whether the network takes them."""
    data = flowers(config, run)
    build(config, len(data.classes))
    return truth(data)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose the network; how it is trained is the same for all."""
    return {"network": trial.suggest_categorical("network", list(NETWORKS))}


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, size, size) uint8 pixels to (n, classes) probabilities."""
    return restored_labelled(lambda classes: build(config, classes), config.size, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    prepare=prepare,
    restore=restore,
    compare=("network",),
    arms=tuple({"network": name} for name in NETWORKS),
)
