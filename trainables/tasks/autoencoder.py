"""Classifiers of indoor scenes whose encoder may be pretrained as an autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from torch import nn

from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data.images import ImageData
from trainables.data.load import load_photos
from trainables.data.losses import ACCEPTED
from trainables.data.mit67 import MIT67
from trainables.errors import UserError
from trainables.models.pyramid import build_classifier, build_decoder, build_encoder
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.task import Task, TeacherLoader
from trainables.vision.autoencoder import load_encoder, load_pretrained_encoder
from trainables.vision.classification import build_ground_truth
from trainables.vision.photo_classifier import restore_photo_classifier, train_photo_classifier


@dataclass(frozen=True)
class Config:
    """Settings of one training; the defaults are the published ones, where there are any.

    `start` is where the encoder's weights come from, `custom` meaning the model of --teacher.
    `size` is an image's side in pixels, `filters` the channels of the first block, `depth` the
    convolutions per block; `augment` turns on flips, shifts and rotations. `pretrain_epochs` and
    the fields after it are those of the autoencoder.
    `accept_losses` is the fraction of photographs that may be unusable.
    """

    seed: int = 0
    start: Literal["scratch", "autoencoder", "custom"] = "scratch"
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
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate", "pretrain_learning_rate")
        check_non_negative(self, "weight_decay")
        check_fraction(self, "dropout", "label_smoothing")
        check_at_least(self, 1, "blocks", "depth", "filters", "fc_width", "batch_size", "epochs")
        check_at_least(self, 1, "pretrain_epochs")
        check_at_least(self, 0, "patience")
        if self.size < 1 or self.size % 2**self.blocks:
            raise ValueError(
                f"size={self.size} must be a multiple of {2**self.blocks}: each of "
                f"blocks={self.blocks} halves it, and the decoder doubles it again"
            )


def build_body(config: Config) -> nn.Sequential:
    """Build the encoder with random weights."""
    return build_encoder(
        filters=config.filters, blocks=config.blocks, depth=config.depth, dropout=config.dropout
    )


def build_initial_body(
    load_teacher: TeacherLoader, config: Config, run: Run, data: ImageData
) -> nn.Sequential:
    """Build the encoder with the weights that `start` names."""
    if config.start == "scratch":
        return build_body(config)
    if config.start == "custom":
        body = build_body(config)
        if (teacher := load_teacher(run)) is None:
            raise UserError("start=custom needs a model with an encoder: --teacher")
        load_encoder(body, teacher.network or nn.Identity(), f"--teacher {run.teacher}")
        return body

    def build() -> tuple[nn.Sequential, nn.Sequential]:
        return build_body(config), build_decoder(filters=config.filters, blocks=config.blocks)

    shape = {name: getattr(config, name) for name in ("blocks", "depth", "filters", "dropout")}
    return load_pretrained_encoder(
        run,
        build,
        data,
        epochs=config.pretrain_epochs,
        shape={**shape, "size": config.size},
        seed=config.pretrain_seed,
        learning_rate=config.pretrain_learning_rate,
        batch_size=config.batch_size,
    )


def train(load_teacher: TeacherLoader, config: Config, run: Run) -> Loop:
    """Train one classifier, after its autoencoder if that is needed and is not in the cache."""
    data = load_photos(MIT67, run, config.size, config.accept_losses)

    def build(classes: int) -> nn.Module:
        body = build_initial_body(load_teacher, config, run, data)
        return build_classifier(body, [config.fc_width], classes)

    yield from train_photo_classifier(config, run, data, build)


def prepare(load_teacher: TeacherLoader, config: Config, run: Run) -> GroundTruth:
    """Load the photographs; raises UserError if the encoder of --teacher does not fit."""
    data = load_photos(MIT67, run, config.size, config.accept_losses)
    if config.start == "custom" and run.download:
        build_initial_body(load_teacher, config, run, data)
    return build_ground_truth(data)


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, size, size) uint8 pixels -> (n, classes) probabilities."""

    def build(classes: int) -> nn.Module:
        return build_classifier(build_body(config), [config.fc_width], classes)

    return restore_photo_classifier(build, config.size, folder)


def task(load_teacher: TeacherLoader) -> Task[Config]:
    """Return the task; `load_teacher` loads the model whose encoder `start=custom` uses."""
    return Task(
        config=Config,
        train=partial(train, load_teacher),
        metric="validation_accuracy",
        mode="max",
        prepare=partial(prepare, load_teacher),
        restore=restore,
    )
