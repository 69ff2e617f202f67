"""Transfer between digits: a model that knows 1 to 8 learns to tell 0 from 9 from few images.

The source model, a small CNN, is trained once per machine, or given with `--teacher`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from trainables import checkpoint
from trainables.data.images import ImageData, Split, load
from trainables.data.svhn import SVHN
from trainables.errors import UserError
from trainables.models.backbones import unfreeze_last
from trainables.models.convnet import small_cnn
from trainables.predictor import GroundTruth, Predictor
from trainables.pretraining import trained_once
from trainables.run import Loop, Run, seed_everything
from trainables.vision.classification import Normalise, Recipe, classify, restored, truth

KNOWN, NEW = tuple("12345678"), ("0", "9")
LAYERS = 4
DRAW = 0  # seed of the images that are learnt from: part of the task, so the same in all trials
WAY_OUT = (
    "a source model is made by python -m trainables.train --space svhn_transfer "
    "--set stage=source --set batch_size=256 --set epochs=1 --reports 10 --out FOLDER"
)

Start = tuple[nn.Sequential, tuple[Tensor, Tensor] | None]
"""A source model, and the moments that its images are normalised with (None: their own)."""


@dataclass(frozen=True)
class Config:
    """Settings of one training; `epochs` are per report, `samples` images for both digits.

    The last `unfrozen` of the four layers learn, the others stay as the source model has them.
    With `stage` source the digits 1 to 8 are learnt from scratch instead: a source model for
    `--teacher`. The source model has a seed of its own, so that all trials start from one.
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
        if not 1 <= self.unfrozen <= LAYERS:
            raise ValueError(f"unfrozen must be 1 to {LAYERS} layers, not {self.unfrozen}")
        if self.samples < 2:
            raise ValueError(f"samples must be at least one of each digit, not {self.samples}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if min(self.batch_size, self.epochs, self.source_epochs) < 1:
            raise ValueError("batch_size, epochs and source_epochs must be at least 1")


def classes(config: Config) -> tuple[str, ...]:
    """Give the digits that a training is about."""
    return NEW if config.stage == "transfer" else KNOWN


def images(run: Run, digits: Sequence[str]) -> ImageData:
    """Load the images of some digits, with their places among these as labels."""
    data = load(SVHN, folder=run.data, cache=run.cache, kind=run.source, download=run.download)
    places = torch.full((len(data.classes),), -1)
    places[[data.classes.index(digit) for digit in digits]] = torch.arange(len(digits))

    def part(split: Split) -> Split:
        labels = places[split.labels]
        return Split(split.pixels, labels, split.rows[labels[split.rows] >= 0])

    return replace(
        data,
        train=part(data.train),
        validation=part(data.validation),
        test=part(data.test),
        classes=tuple(digits),
    )


def few(split: Split, samples: int, digits: int) -> Split:
    """Draw that many images, equally many of every digit; where there are fewer, all of it."""
    draw = torch.Generator().manual_seed(DRAW)
    labels = split.labels[split.rows]
    drawn = []
    for digit in range(digits):
        rows = split.rows[labels == digit]
        drawn.append(rows[torch.randperm(len(rows), generator=draw)[: samples // digits]])
    return replace(split, rows=torch.cat(drawn).sort().values)


def train(config: Config, run: Run, given: Predictor | None = None) -> Loop:
    """Train one model; `given` is the one that --teacher names."""
    data = images(run, classes(config))
    if config.stage == "source":
        seed_everything(config.seed)
        yield from classify(config, run, small_cnn(len(data.classes)), data)
        return
    source, moments = _given(given) if given else _own_source(config, run)
    seed_everything(config.seed)
    head = source[-1]
    assert isinstance(head, nn.Linear)
    source[-1] = nn.Linear(head.in_features, len(data.classes))
    unfreeze_last(source, config.unfrozen)
    data = replace(data, train=few(data.train, config.samples, len(data.classes)))
    yield from classify(config, run, source, data, moments=moments)


def prepare(config: Config, run: Run, given: Predictor | None = None) -> GroundTruth:
    """Find or fetch SVHN, and look whether a given source model may be used; raises UserError."""
    if given:
        if config.stage == "source":
            raise UserError("stage=source learns from scratch: leave --teacher out")
        _given(given)
    return truth(images(run, classes(config)))


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained CNN: (n, 3, 32, 32) uint8 pixels to (n, digits) probabilities."""
    digits = classes(config)
    return restored(small_cnn(len(digits)), SVHN.shape, digits, folder)


def _given(given: Predictor) -> Start:
    if seen := [digit for digit in NEW if digit in given.classes]:
        raise UserError(
            f"the model that --teacher names has seen {' and '.join(seen)}: its source must not"
            f"\nit tells apart {', '.join(given.classes)}; {WAY_OUT}"
        )
    try:
        model = _model(len(given.classes))
        model.load_state_dict(given.network.state_dict() if given.network else {})
    except RuntimeError as error:
        raise UserError(
            f"the model that --teacher names is not the small CNN of svhn_transfer\n{WAY_OUT}"
        ) from error
    return _apart(model)


def _own_source(config: Config, run: Run) -> Start:
    recipe = Recipe(
        seed=config.source_seed,
        batch_size=256,
        optimizer="adam",
        learning_rate=1e-3,
        schedule="constant",
    )
    data = images(run, KNOWN)

    def untrained() -> nn.Sequential:
        seed_everything(recipe.seed)
        return small_cnn(len(KNOWN))

    folder = trained_once(
        "svhn-source",
        {"data": data.fingerprint, "digits": KNOWN, "recipe": asdict(recipe)},
        run,
        lambda of: classify(recipe, of, untrained(), data),
        reports=config.source_epochs,
    )
    if folder is None:
        return untrained(), None
    if found := checkpoint.read(folder):
        run.facts["source_accuracy"] = found[0]["score"]
    model = _model(len(KNOWN))
    checkpoint.load_module(model, folder)
    return _apart(model)


def _model(digits: int) -> nn.Sequential:
    return nn.Sequential(Normalise(torch.zeros(3), torch.ones(3)), small_cnn(digits))


def _apart(model: nn.Sequential) -> Start:
    normalise, network = model
    assert isinstance(normalise, Normalise) and isinstance(network, nn.Sequential)
    return network, (normalise.mean, normalise.std)
