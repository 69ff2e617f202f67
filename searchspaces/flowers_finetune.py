"""To tell flowers, is it better to train from scratch, the top of a network, or all of it?

DenseNet-169 and ResNet-18 (any other torchvision classifier with `--set backbone=NAME`), from
scratch or pretrained on ImageNet, then with their last layers or all of them trained further.
Published is the ordering in loss, all below top below scratch, DenseNet-169 ahead of ResNet-18,
and one number, below. There it was Adam, batches of 32 and 5 epochs, with a look at train and
validation every 40 batches.

So a report is 40 batches here, wherever in an epoch they end: 12 reports are 480 batches, five
epochs of the 2,936 photographs that tf_flowers leaves to train on; on fewer photographs the same
batches are more epochs, and `--reports` sets their number. Without weights to be had the
pretrained arms end with a message that says where they were looked for; the others go on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import Published, SearchSpace
from trainables.data.flowers import FLOWERS, FLOWERS102
from trainables.data.images import ImageData
from trainables.models.backbones import get_pretrained_mean_std
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.finetune import finetune
from trainables.vision.classification import truth
from trainables.vision.photo_classifier import images, labelled, pretrained, restored_labelled

if TYPE_CHECKING:
    import optuna

RATES = {"scratch": 1e-3, "top": 1e-3, "all": 1e-4}
"""Adam's learning rate by mode: large steps would undo what all layers have learnt before."""
BACKBONES = ("resnet18", "densenet169")


@dataclass(frozen=True)
class Config:
    """Settings of one training.

    `unfrozen` is how many of the body's last layers learn beside the new head in the mode `top`
    (a layer has weights of its own: a convolution, a batch norm), `origin` where the weights of
    the modes `top` and `all` come from, `size` an image's side in pixels, `every` the batches
    per report.
    """

    seed: int = 0
    backbone: str = "densenet169"
    mode: Literal["scratch", "top", "all"] = "scratch"
    origin: Literal["imagenet", "places365"] = "imagenet"
    unfrozen: int = 0
    dataset: Literal["flowers", "flowers102"] = "flowers"
    size: int = 128
    learning_rate: float = 1e-3
    batch_size: int = 32
    every: int = 40

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if self.unfrozen < 0:
            raise ValueError(f"unfrozen must not be negative: {self.unfrozen}")
        if min(self.batch_size, self.every, self.size) < 1:
            raise ValueError("batch_size, every and size must be at least 1")


def network(config: Config, classes: int, run: Run | None = None) -> torch.nn.Module:
    """Build backbone and head, with pretrained weights where it is for a run."""
    return pretrained(
        config.backbone,
        classes,
        run,
        size=config.size,
        origin="none" if config.mode == "scratch" else config.origin,
        unfrozen=config.unfrozen if config.mode == "top" else None,
        alternative="train from scratch with --set mode=scratch",
    )


def flowers(config: Config, run: Run) -> ImageData:
    """Load the flowers for a run."""
    source = {"flowers": FLOWERS, "flowers102": FLOWERS102}[config.dataset]
    return images(source, run, config.size)


def train(config: Config, run: Run) -> Loop:
    """Train one network, with a report every so many batches."""
    data = flowers(config, run)
    seed_everything(config.seed)
    yield from finetune(
        run,
        labelled(network(config, len(data.classes), run), data.classes),
        data,
        seed=config.seed,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        every=config.every,
        moments=None if config.mode == "scratch" else get_pretrained_mean_std(config.backbone),
    )


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find the flowers and the pretrained weights before a search begins."""
    data = flowers(config, run)
    if run.share == 1:  # not where the data alone are wanted
        network(config, len(data.classes), run)
    return truth(data)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose the backbone and what of it learns; the learning rate is a nuisance."""
    mode = trial.suggest_categorical("mode", ["scratch", "top", "all"])
    return {
        "backbone": trial.suggest_categorical("backbone", list(BACKBONES)),
        "mode": mode,
        "unfrozen": trial.suggest_int("unfrozen", 0, 40, step=4) if mode == "top" else 0,
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, size, size) uint8 pixels to (n, classes) probabilities."""
    return restored_labelled(lambda classes: network(config, classes), config.size, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_loss",
    mode="min",
    reports=12,
    min_reports=2,
    prepare=prepare,
    restore=restore,
    compare=("backbone", "mode"),
    arms=tuple(
        {"backbone": name, "mode": mode, "learning_rate": rate, "unfrozen": 0}
        for name in BACKBONES
        for mode, rate in RATES.items()
    ),
    published=(
        Published(
            "DenseNet-169, top layers alone",
            0.923,
            "test accuracy",
            of={"backbone": "densenet169", "mode": "top"},
        ),
    ),
)
