"""The small CNN on SVHN that five comparison tables share: one setting varies, the rest stays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from trainables.data.images import ImageData, load
from trainables.data.svhn import SVHN
from trainables.models.convnet import small_cnn
from trainables.run import Loop, Predictor, Run, Truth, seed_everything
from trainables.tasks.classify import classify, restored, truth


@dataclass(frozen=True)
class Config:
    """The published baseline: Adam 1e-3, batch 256, 5 epochs (a report each).

    `rotation` is in degrees, `solarize` a probability per image; `extra` adds the 531,131 extra
    digits to train.
    """

    seed: int = 0
    batch_size: int = 256
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    rotation: float = 0.0
    solarize: float = 0.0
    extra: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < float("inf"):
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {self.momentum}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {self.batch_size}")
        if not 0 <= self.solarize <= 1:
            raise ValueError(f"solarize is a probability, not {self.solarize}")


def images(config: Config, run: Run) -> ImageData:
    """Load SVHN for a run."""
    return load(
        replace(SVHN, train=("train", "extra")) if config.extra else SVHN,
        folder=run.data,
        cache=run.cache,
        kind=run.source,
        download=run.download,
    )


def train(config: Config, run: Run) -> Loop:
    """Train one small CNN."""
    seed_everything(config.seed)
    yield from classify(config, run, small_cnn(), images(config, run))


def prepare(config: Config, run: Run) -> Truth:
    """Find or fetch SVHN and decode it once for this machine."""
    return truth(images(config, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained CNN: (n, 3, 32, 32) uint8 pixels to (n, 10) probabilities."""
    return restored(small_cnn(), SVHN.shape, SVHN.classes, folder)
