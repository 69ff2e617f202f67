"""Transfer between digits: a model of the digits 1 to 8 learns to classify 0 and 9.

The source model, a small CNN, is trained once per machine, or is the model of `--teacher`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from trainables import checkpoint
from trainables.checks import check_at_least, check_between, check_non_negative, check_positive
from trainables.data.images import ImageData, Split
from trainables.data.load import load_images
from trainables.data.svhn import SVHN
from trainables.errors import UserError
from trainables.invocation import format_command
from trainables.models.backbones import unfreeze_last
from trainables.models.convnet import small_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.pretraining import train_once
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task, TeacherLoader
from trainables.vision.classification import (
    Normalize,
    Recipe,
    build_ground_truth,
    restore_classifier,
    train_classifier,
)

SOURCE_DIGITS, TARGET_DIGITS = tuple("12345678"), ("0", "9")
LAYERS = 4
SAMPLE_SEED = 0  # of the images to learn from: part of the task, so the same in all trials
HOW_TO_TRAIN = (
    f"train a source model with {format_command('train')} --space svhn_transfer "
    "--set stage=source --set batch_size=256 --set epochs=1 --reports 10 --out FOLDER"
)

Source = tuple[nn.Sequential, tuple[Tensor, Tensor] | None]
"""A source model, and the mean and standard deviation of its images (None: of train)."""


@dataclass(frozen=True)
class Config:
    """Settings of one training; `epochs` are per report, `samples` images of both digits together.

    The last `unfrozen` of the four layers are trained, the others stay frozen. With
    `stage=source` the digits 1 to 8 are learned from scratch instead: a source model for
    `--teacher`. The source model has its own seed, so that all trials use the same one.
    """

    seed: int = 0
    stage: Literal["transfer", "source"] = "transfer"
    unfrozen: int = 1
    samples: int = 200
    batch_size: int = 20
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    epochs: int = 4
    source_epochs: int = 10
    source_seed: int = 0

    def __post_init__(self) -> None:
        check_between(self, 1, LAYERS, "unfrozen")
        check_at_least(self, len(TARGET_DIGITS), "samples")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_at_least(self, 1, "batch_size", "epochs", "source_epochs")


def get_digits(config: Config) -> tuple[str, ...]:
    """Return the digits that a training classifies."""
    return TARGET_DIGITS if config.stage == "transfer" else SOURCE_DIGITS


def load_digits(run: Run, digits: Sequence[str]) -> ImageData:
    """Load the images of some digits; label i is digits[i]."""
    data = load_images(SVHN, run)
    new_labels = torch.full((len(data.classes),), -1)
    new_labels[[data.classes.index(digit) for digit in digits]] = torch.arange(len(digits))

    def select(split: Split) -> Split:
        labels = new_labels[split.labels]
        return Split(split.pixels, labels, split.rows[labels[split.rows] >= 0])

    return replace(
        data,
        train=select(data.train),
        validation=select(data.validation),
        test=select(data.test),
        classes=tuple(digits),
    )


def sample_images(split: Split, samples: int, digits: int) -> Split:
    """Draw `samples` images, the same number of each digit, or all of a digit with fewer."""
    generator = torch.Generator().manual_seed(SAMPLE_SEED)
    labels = split.labels[split.rows]
    sampled = []
    for digit in range(digits):
        rows = split.rows[labels == digit]
        sampled.append(rows[torch.randperm(len(rows), generator=generator)[: samples // digits]])
    return replace(split, rows=torch.cat(sampled).sort().values)


def train(load_teacher: TeacherLoader, config: Config, run: Run) -> Loop:
    """Train one model, after its source model if that is trained here and is not in the cache."""
    predictor = load_teacher(run)
    data = load_digits(run, get_digits(config))
    if config.stage == "source":
        seed_everything(config.seed)
        yield from train_classifier(config, run, small_cnn(len(data.classes)), data)
        return
    network, mean_std = _read_source(predictor) if predictor else _train_source(config, run)
    seed_everything(config.seed)
    head = network[-1]
    assert isinstance(head, nn.Linear)
    network[-1] = nn.Linear(head.in_features, len(data.classes))
    unfreeze_last(network, config.unfrozen)
    data = replace(data, train=sample_images(data.train, config.samples, len(data.classes)))
    yield from train_classifier(config, run, network, data, mean_std=mean_std)


def prepare(load_teacher: TeacherLoader, config: Config, run: Run) -> GroundTruth:
    """Load SVHN; raises UserError if the model of --teacher cannot be a source model."""
    if predictor := load_teacher(run):
        if config.stage == "source":
            raise UserError("stage=source trains from scratch: leave --teacher out")
        _read_source(predictor)
    return build_ground_truth(load_digits(run, get_digits(config)))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained CNN: (n, 3, 32, 32) uint8 pixels -> (n, digits) probabilities."""
    digits = get_digits(config)
    return restore_classifier(small_cnn(len(digits)), SVHN.shape, digits, folder)


def task(load_teacher: TeacherLoader) -> Task[Config]:
    """Return the task of transfer from the source model that `load_teacher` loads, if any."""
    return Task(
        config=Config,
        train=partial(train, load_teacher),
        metric="validation_accuracy",
        mode="max",
        prepare=partial(prepare, load_teacher),
        restore=restore,
    )


def _read_source(predictor: Predictor) -> Source:
    if seen := [digit for digit in TARGET_DIGITS if digit in predictor.classes]:
        raise UserError(
            f"the model of --teacher was trained on {' and '.join(seen)}, which its source "
            f"must not be\nits classes are {', '.join(predictor.classes)}; {HOW_TO_TRAIN}"
        )
    try:
        model = _build_source(len(predictor.classes))
        model.load_state_dict(predictor.network.state_dict() if predictor.network else {})
    except RuntimeError as error:
        raise UserError(
            f"the model of --teacher is not the small CNN of svhn_transfer\n{HOW_TO_TRAIN}"
        ) from error
    return _split_source(model)


def _train_source(config: Config, run: Run) -> Source:
    recipe = Recipe(
        seed=config.source_seed,
        batch_size=256,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
    )
    data = load_digits(run, SOURCE_DIGITS)

    def build() -> nn.Sequential:
        seed_everything(recipe.seed)
        return small_cnn(len(SOURCE_DIGITS))

    folder = train_once(
        "svhn-source",
        {"data": data.fingerprint, "digits": SOURCE_DIGITS, "recipe": asdict(recipe)},
        run,
        lambda source_run: train_classifier(recipe, source_run, build(), data),
        reports=config.source_epochs,
    )
    if folder is None:
        return build(), None
    if saved := checkpoint.read(folder):
        run.facts["source_accuracy"] = saved[0]["score"]
    model = _build_source(len(SOURCE_DIGITS))
    checkpoint.load_module(model, folder)
    return _split_source(model)


def _build_source(digits: int) -> nn.Sequential:
    return nn.Sequential(Normalize(torch.zeros(3), torch.ones(3)), small_cnn(digits))


def _split_source(model: nn.Sequential) -> Source:
    normalize, network = model
    assert isinstance(normalize, Normalize) and isinstance(network, nn.Sequential)
    return network, (normalize.mean, normalize.std)
