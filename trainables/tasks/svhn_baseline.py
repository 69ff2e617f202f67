"""The small CNN on house numbers that five comparison tables share: one thing varies in each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch

from trainables.data.images import ImageData, load
from trainables.data.source import Source
from trainables.data.svhn import SVHN
from trainables.models.convnet import small_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import classify, restored, truth


@dataclass(frozen=True)
class Config:
    """The published baseline: Adam with 1e-3 throughout, batches of 256, an epoch per report.

    `rotation` is the largest angle in degrees, `solarize` a probability per image; `extra` adds
    the 531,131 extra digits to train.
    """

    seed: int = 0
    batch_size: int = 256
    optimizer: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    rotation: float = 0.0
    solarize: float = 0.0
    extra: bool = False
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum must be in [0, 1), not {self.momentum}")
        if min(self.batch_size, self.epochs) < 1:
            raise ValueError("batch_size and epochs must be at least 1")
        if not 0 <= self.rotation <= 180:
            raise ValueError(f"rotation must be in [0, 180] degrees, not {self.rotation}")
        if not 0 <= self.solarize <= 1:
            raise ValueError(f"solarize is a probability, not {self.solarize}")


def images(run: Run, extra: bool = False) -> ImageData:
    """Load SVHN; the extra digits only ever join train, so that all are judged by the same."""
    plain = _load(SVHN, run)
    if not extra:
        return plain
    both = _load(replace(SVHN, train=("train", "extra")), run)
    # The files are read one after the other: the extra digits lie behind those of train.
    behind = torch.arange(len(plain.train.pixels), len(both.train.pixels))
    train = replace(both.train, rows=torch.cat([plain.train.rows, behind]))
    return replace(plain, train=train, fingerprint=both.fingerprint)


def _load(source: Source, run: Run) -> ImageData:
    return load(source, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def network() -> torch.nn.Module:
    """Build the small CNN; (n, 3, 32, 32) -> (n, 10)."""
    return small_cnn(len(SVHN.classes))


def train(config: Config, run: Run) -> Loop:
    """Train one small CNN."""
    seed_everything(config.seed)
    yield from classify(config, run, network(), images(run, config.extra))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch SVHN and decode it once for this machine."""
    return truth(images(run, config.extra))


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained CNN: (n, 3, 32, 32) uint8 pixels to (n, 10) probabilities."""
    return restored(network(), SVHN.shape, SVHN.classes, folder)
