"""How well can a network of at most 150,000 parameters read house numbers?

Street View House Numbers (Netzer et al., 2011), cropped digits. Separable convolutions,
parallel kernels and VGG-like groups compete under a hard limit that is checked before any
training: a configuration above it costs nothing.

The 531,131 extra digits are no part of the search, since an epoch with them is eight times as
long and so never the same budget: `--set extra=true` trains every configuration with them, judged
by the same validation images. `--set compile=true` is for GPUs: minutes at first, then each step
launches fewer kernels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch

from searchspaces import Published, SearchSpace
from trainables.data.svhn import SIZE, SVHN
from trainables.models.separable import separable_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.svhn_baseline import images
from trainables.vision.classification import classify, restored, truth

if TYPE_CHECKING:
    import optuna

LIMIT = 150_000


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value.

    Groups of blocks: `depths` and `halve` are numbers joined by dashes, a group each and the
    groups that start by halving the resolution; `width` and `growth` are channels.
    """

    seed: int = 0
    stem: int = 32
    width: int = 64
    growth: int = 32
    depths: str = "1-2-2-2-1"
    halve: str = "1-2-3"
    convolution: Literal["separable", "full"] = "separable"
    kernels: Literal["3", "5", "3+5", "3+5+7"] = "3"
    batch_norm: bool = True
    skip: bool = False
    head: int = 0
    dropout: float = 0.02
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 4e-3
    momentum: float = 0.9
    weight_decay: float = 0.05
    batch_size: int = 64
    label_smoothing: float = 0.05
    schedule: Literal["one_cycle", "cosine", "linear", "constant"] = "one_cycle"
    shift: int = 2
    extra: bool = False
    compile: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        for name in ("dropout", "momentum", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if min(self.batch_size, self.epochs) < 1:
            raise ValueError("batch_size and epochs must be at least 1")
        if not 0 <= self.shift < SIZE:
            raise ValueError(f"shift must be in [0, {SIZE}) pixels, not {self.shift}")
        if self.head < 0:
            raise ValueError(f"head must not be negative: {self.head}")
        groups = len(numbers(self.depths))
        if any(group >= groups for group in numbers(self.halve)):
            raise ValueError(
                f"halve={self.halve!r} names a group that depths={self.depths!r} lacks"
            )
        narrowest = min(self.stem, self.width, self.width + (groups - 1) * self.growth)
        if narrowest < len(numbers(self.kernels)):
            raise ValueError(
                f"kernels={self.kernels!r} want a channel each, and stem={self.stem}, "
                f"width={self.width} with growth={self.growth} leave {narrowest}"
            )


def numbers(text: str) -> tuple[int, ...]:
    """Read numbers joined by - or +; raises ValueError where there are others."""
    return tuple(int(part) for part in text.replace("+", "-").split("-"))


def network(config: Config) -> torch.nn.Module:
    """Build the net that a configuration describes; (n, 3, 32, 32) -> (n, 10)."""
    return separable_cnn(
        stem=config.stem,
        width=config.width,
        growth=config.growth,
        depths=numbers(config.depths),
        halve=numbers(config.halve),
        convolution=config.convolution,
        kernels=numbers(config.kernels),
        batch_norm=config.batch_norm,
        skip=config.skip,
        dropout=config.dropout,
        head=config.head,
    )


def feasible(config: Config) -> str | None:
    """Refuse more than 150,000 parameters."""
    with torch.device("meta"):
        parameters = sum(weight.numel() for weight in network(config).parameters())
    return f"{parameters:,} parameters, over {LIMIT:,}" if parameters > LIMIT else None


def train(config: Config, run: Run) -> Loop:
    """Train one net."""
    seed_everything(config.seed)
    yield from classify(config, run, network(config), images(run, config.extra))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch SVHN and decode it once for this machine."""
    return truth(images(run, config.extra))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the shape under the limit, the regularisation and the optimization."""
    optimizer = trial.suggest_categorical("optimizer", ["adamw", "sgd"])
    rates = {"adamw": (1e-3, 2e-2), "sgd": (2e-2, 0.5)}[optimizer]
    decays = {"adamw": (1e-3, 0.2), "sgd": (1e-5, 5e-3)}[optimizer]
    return {
        "optimizer": optimizer,
        "learning_rate": trial.suggest_float(f"learning_rate.{optimizer}", *rates, log=True),
        "weight_decay": trial.suggest_float(f"weight_decay.{optimizer}", *decays, log=True),
        "momentum": trial.suggest_float("momentum", 0.8, 0.95) if optimizer == "sgd" else 0.9,
        "schedule": trial.suggest_categorical("schedule", ["one_cycle", "cosine", "linear"]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.15),
        "dropout": trial.suggest_float("dropout", 0.0, 0.2),
        "shift": trial.suggest_int("shift", 0, 3),
        "stem": trial.suggest_int("stem", 16, 48, step=8),
        "width": trial.suggest_int("width", 32, 80, step=8),
        "growth": trial.suggest_int("growth", 8, 40, step=8),
        "depths": trial.suggest_categorical(
            "depths", ["1-2-2-2-1", "2-2-2-2-2", "1-1-2-2-2", "1-2-3-2-1", "1-1-1-1-1"]
        ),
        "halve": trial.suggest_categorical("halve", ["1-2-3", "1-2", "1-3", "2-3", "2-4"]),
        "convolution": trial.suggest_categorical("convolution", ["separable", "full"]),
        "kernels": trial.suggest_categorical("kernels", ["3", "5", "3+5", "3+5+7"]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "skip": trial.suggest_categorical("skip", [False, True]),
        "head": trial.suggest_categorical("head", [0, 64, 128]),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, 32, 32) uint8 pixels to (n, 10) probabilities."""
    return restored(network(config), SVHN.shape, SVHN.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=25,
    min_reports=3,
    trials=40,
    feasible=feasible,
    prepare=prepare,
    restore=restore,
    compare=("convolution", "kernels", "optimizer"),
    initial_configs=({"learning_rate": 6e-3},),
    published=(
        Published("course reference, at most 150,000 parameters", 93.0, "test accuracy, %"),
        Published("124,180 parameters, 5 epochs, extra data", 95.34, "test accuracy, %"),
        Published("SimpleNet, 310,000 parameters", 97.63, "test accuracy, %", "best small net"),
    ),
)
