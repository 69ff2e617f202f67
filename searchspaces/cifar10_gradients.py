"""Why do skip connections work: do they keep the gradients of deep networks from vanishing?

The nets of `cifar10_depth`, without and with skips, and the mean absolute gradient of the last
dense layer's weight over the first 150 batches: a report is the mean of five of them. Published,
without numbers: at every depth (10, 20, 25 and 50 layers) the gradients go towards zero without
skips, and with skips they do not.

Two stages of `blocks` blocks make 4 blocks + 2 layers, so that not every depth can be met: 2
blocks stand for 10 layers, 4 (which make 18) for 20, 6 (26) for 25 and 12 for 50. A trial's score
is the smallest gradient that it came to, so that the row the report calls best is the one whose
gradients vanish most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from searchspaces import SearchSpace
from trainables.data.cifar10 import CIFAR10
from trainables.data.images import ImageData, load
from trainables.models.residual import block_cnn
from trainables.predictor import GroundTruth
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.gradients import watch

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training with Adam; `blocks` are per stage, `batches` per report."""

    seed: int = 0
    blocks: int = 2
    skip: bool = False
    filters: int = 16
    learning_rate: float = 4e-4
    batch_size: int = 128
    batches: int = 5

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if min(self.blocks, self.filters, self.batch_size, self.batches) < 1:
            raise ValueError("blocks, filters, batch_size and batches must be at least 1")


def network(config: Config) -> nn.Sequential:
    """Build the net of a depth, with or without skips; (n, 3, 32, 32) -> (n, 10)."""
    return block_cnn(blocks=config.blocks, filters=config.filters, skip=config.skip)


def images(run: Run) -> ImageData:
    """Load CIFAR-10 for a run."""
    return load(CIFAR10, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Watch the head's gradient in the first batches of one training."""
    seed_everything(config.seed)
    net = network(config)
    head = net[-1]
    assert isinstance(head, nn.Linear)
    yield from watch(
        run,
        net,
        head.weight,
        images(run),
        seed=config.seed,
        batches=config.batches,
        batch_size=config.batch_size,
        learning_rate=config.learning_rate,
    )


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch CIFAR-10 and decode it once for this machine; nothing is predicted."""
    data = images(run)
    return GroundTruth(fingerprint=data.fingerprint, source=data.source)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose depth and skips; how the net is trained is the same for all."""
    return {
        "blocks": trial.suggest_int("blocks", 2, 12),
        "skip": trial.suggest_categorical("skip", [False, True]),
    }


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="gradient",
    mode="min",
    reports=30,
    prepare=prepare,
    compare=("blocks", "skip"),
    arms=tuple(
        {"blocks": blocks, "skip": skip} for blocks in (2, 4, 6, 12) for skip in (False, True)
    ),
)
