"""Flowers from scratch or from pretrained weights, evaluated every few batches.

Fine-tuning takes few epochs, so a report is a number of batches and may end within an epoch.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables.checks import check_at_least, check_between, check_positive
from trainables.data import augment
from trainables.data.flowers import FLOWER_SOURCES
from trainables.data.images import ImageData
from trainables.data.load import load_photos
from trainables.data.losses import ACCEPTED
from trainables.fit import fit
from trainables.models.backbones import get_pretrained_mean_std
from trainables.optim import build_optimizer, constant
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task
from trainables.vision.classification import (
    Normalize,
    build_ground_truth,
    evaluate_classifier,
    predict_logits,
)
from trainables.vision.photo_classifier import (
    add_class_names,
    build_pretrained,
    restore_photo_classifier,
)


@dataclass(frozen=True)
class Config:
    """Settings of one training; `every` is the batches per report.

    `mode` is what is trained: all layers from random weights, the new head and the body's last
    `unfrozen` layers (a layer has weights: a convolution, a batch norm), or all layers from
    pretrained weights, which come from `origin`. `size` is an image's side in pixels.
    `accept_losses` is the fraction of photographs that may be unusable.
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
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_between(self, 0, 1, "accept_losses")
        check_positive(self, "learning_rate")
        check_at_least(self, 0, "unfrozen")
        check_at_least(self, 1, "batch_size", "every", "size")


def build_network(config: Config, classes: int, run: Run | None = None) -> nn.Module:
    """Build backbone and head, with pretrained weights if built for a run."""
    return build_pretrained(
        config.backbone,
        classes,
        run,
        size=config.size,
        origin="none" if config.mode == "scratch" else config.origin,
        unfrozen=config.unfrozen if config.mode == "top" else None,
        alternative="train from scratch with --set mode=scratch",
    )


def train(config: Config, run: Run) -> Loop:
    """Train one network."""
    data = load_photos(FLOWER_SOURCES[config.dataset], run, config.size, config.accept_losses)
    seed_everything(config.seed)
    network = add_class_names(build_network(config, len(data.classes), run), data.classes)
    mean_std = None if config.mode == "scratch" else get_pretrained_mean_std(config.backbone)
    yield from finetune(config, run, network, data, mean_std)


def finetune(
    config: Config,
    run: Run,
    network: nn.Module,
    data: ImageData,
    mean_std: tuple[Tensor, Tensor] | None = None,
) -> Loop:
    """Train with Adam, `every` batches per report, over epochs in shuffled order.

    `mean_std` are the mean and standard deviation that the network expects (None: those of
    train). Reports loss and accuracy on the training batches and on validation; stores
    predictions for validation and test.
    """
    device = run.device
    on_gpu = device.type == "cuda"
    mean, std = mean_std or augment.compute_mean_std(data.train.pixels, data.train.rows)
    data = data.to(device)
    train, validation = data.train, data.validation.head(run.share)
    model = nn.Sequential(Normalize(mean, std), network)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(
        "adam", model, learning_rate=config.learning_rate, weight_decay=0.0, momentum=0.0
    )
    reports = iter(run.resume(model=model, optimizer=optimizer))
    steps = max(1, round(config.every * run.share))

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        first = next(reports) * steps
        # All at once: with a copy to the device per batch the host waits for each.
        indices = torch.stack(
            list(draw_batches(len(train), config.batch_size, config.seed, first, steps))
        )
        for rows in train.rows[indices.to(device)]:
            yield train.pixels.index_select(0, rows), train.labels[rows]

    def measure(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        pixels, labels = batch
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = model(pixels).float()
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    run.keep_predictions(
        validation=lambda: predict_logits(model, validation).softmax(1).cpu().numpy(),
        test=lambda: predict_logits(model, data.test).softmax(1).cpu().numpy(),
    )
    yield from fit(
        run,
        model,
        optimizer,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=lambda: evaluate_classifier(model, validation),
        learning_rate=config.learning_rate,
        schedule=constant,
    )


def draw_batches(
    count: int, batch_size: int, seed: int, first: int, number: int
) -> Iterator[Tensor]:
    """Yield `number` batches of indices below `count`, beginning with the training's `first`-th.

    Every epoch is shuffled with its own seed, so no batch depends on those before it. The last
    incomplete batch of an epoch is dropped.
    """
    batch_size = min(batch_size, count)
    per_epoch = count // batch_size
    shuffled, current = torch.empty(0, dtype=torch.int64), -1
    for batch in range(first, first + number):
        epoch, index = divmod(batch, per_epoch)
        if epoch != current:
            generator = np.random.default_rng([seed % 2**32, epoch])
            shuffled, current = torch.from_numpy(generator.permutation(count)), epoch
        yield shuffled[index * batch_size : (index + 1) * batch_size]


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the flowers and the pretrained weights, so that a search does not start without."""
    data = load_photos(FLOWER_SOURCES[config.dataset], run, config.size, config.accept_losses)
    if run.share == 1:  # not where only the data are needed
        build_network(config, len(data.classes), run)
    return build_ground_truth(data)


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained network: (n, 3, size, size) uint8 pixels -> (n, classes) probabilities."""
    return restore_photo_classifier(partial(build_network, config), config.size, folder)


TASK = Task(
    config=Config,
    train=train,
    metric="validation_loss",
    mode="min",
    prepare=prepare,
    restore=restore,
)
