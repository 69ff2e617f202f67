"""Does it help a network that reads rooms to have learnt first to give photographs back?

The encoder of `mit67_pyramid`, from scratch or pre-trained as an autoencoder on the training
photographs without their labels, then trained as published: Adam with 1e-4, weight decay 1e-3,
label smoothing 0.1, augmentation, an early end after 6 epochs without a better one. Published,
without numbers: it does not help. The autoencoder is trained once per machine, whichever trial
comes first; `--teacher` gives another model whose encoder is to be gone on from, such as a run of
`mit67_pyramid` with the same blocks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from searchspaces import SearchSpace
from searchspaces.loading import load_trained
from trainables.data.images import ImageData
from trainables.data.mit67 import MIT67
from trainables.errors import UserError
from trainables.models.pyramid import build_classifier, build_decoder, build_encoder
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.autoencoder import fill, pretrained_encoder
from trainables.vision.classification import classify, truth
from trainables.vision.photo_classifier import images, labelled, restored_labelled

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; the defaults are the published ones, where there are any.

    `start` is where the encoder comes from, `given` meaning from the model of --teacher. `size` is
    an image's side in pixels, `filters` the channels of the first block, `depth` the convolutions
    per block; `pretrain_epochs` and what follows are the autoencoder's.
    """

    seed: int = 0
    start: Literal["scratch", "autoencoder", "given"] = "scratch"
    size: int = 256
    blocks: int = 5
    depth: int = 2
    filters: int = 16
    fc_width: int = 256
    dropout: float = 0.25
    augment: bool = True
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    label_smoothing: float = 0.1
    batch_size: int = 32
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    patience: int = 6
    epochs: int = 1
    pretrain_epochs: int = 20
    pretrain_learning_rate: float = 1e-3
    pretrain_seed: int = 0

    def __post_init__(self) -> None:
        for name in ("learning_rate", "pretrain_learning_rate"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        counts = ("blocks", "depth", "filters", "fc_width", "batch_size", "epochs")
        for name in (*counts, "pretrain_epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.size < 1 or self.size % 2**self.blocks:
            raise ValueError(
                f"size={self.size} cannot be halved {self.blocks} times and doubled again: it "
                f"must be a multiple of {2**self.blocks}"
            )
        if self.patience < 0:
            raise ValueError(f"patience must not be negative: {self.patience}")

    @property
    def flip(self) -> bool:
        return self.augment

    @property
    def shift(self) -> int:
        return self.size // 16 if self.augment else 0

    @property
    def rotation(self) -> float:
        return 10.0 if self.augment else 0.0


def body(config: Config) -> nn.Sequential:
    """Build the encoder with random weights."""
    return build_encoder(
        filters=config.filters, blocks=config.blocks, depth=config.depth, dropout=config.dropout
    )


def started(config: Config, run: Run, data: ImageData) -> nn.Sequential:
    """Build the encoder with the weights that it starts from."""
    if config.start == "scratch":
        return body(config)
    if config.start == "given":
        inner = body(config)
        fill(inner, given(run).network or nn.Identity(), f"--teacher {run.teacher}")
        return inner

    def both() -> tuple[nn.Sequential, nn.Sequential]:
        return body(config), build_decoder(filters=config.filters, blocks=config.blocks)

    shape = {name: getattr(config, name) for name in ("blocks", "depth", "filters", "dropout")}
    return pretrained_encoder(
        run,
        both,
        data,
        epochs=config.pretrain_epochs,
        shape={**shape, "size": config.size},
        seed=config.pretrain_seed,
        learning_rate=config.pretrain_learning_rate,
        batch_size=config.batch_size,
    )


def given(run: Run) -> Predictor:
    """Load the model that --teacher names."""
    if run.teacher is None:
        raise UserError("start=given needs a model whose encoder is gone on from: --teacher")
    return load_trained(run.teacher)


def network(config: Config, inner: nn.Sequential, classes: int) -> nn.Module:
    """Put the head on an encoder; (n, 3, size, size) -> (n, classes)."""
    return build_classifier(inner, [config.fc_width], classes)


def train(config: Config, run: Run) -> Loop:
    """Train one classifier, after its encoder where that is wanted."""
    data = images(MIT67, run, config.size)
    seed_everything(config.seed)
    model = network(config, started(config, run, data), len(data.classes))
    yield from classify(config, run, labelled(model, data.classes), data)


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find the photographs, and see whether a given encoder fits."""
    data = images(MIT67, run, config.size)
    if config.start == "given" and run.download:
        started(config, run, data)
    return truth(data)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Choose the start; how the classifier is trained is the same for all."""
    return {"start": trial.suggest_categorical("start", ["scratch", "autoencoder"])}


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained net: (n, 3, size, size) uint8 pixels to (n, classes) probabilities."""
    return restored_labelled(
        lambda classes: network(config, body(config), classes), config.size, folder
    )


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=100,
    min_reports=10,
    prepare=prepare,
    restore=restore,
    compare=("start",),
    arms=({"start": "scratch"}, {"start": "autoencoder"}),
    teacher_defaults={"start": "given"},
)
