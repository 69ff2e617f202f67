"""Image classification: one resident data set, batch augmentation, a score per epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainables import checkpoint
from trainables.data import augment
from trainables.data.images import ImageData, Split
from trainables.fit import fit, predict
from trainables.optim import build_optimizer, get_schedule
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run

EVALUATION_BATCH = 512
Pixels = np.ndarray
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Of a batch's augmented uint8 pixels, float32 logits and labels: a number to minimise."""


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained, where its Config does not say otherwise.

    The learning rate is the peak value, `epochs` are per report, `shift` is in pixels, `rotation`
    in degrees, `solarize` a probability per image, `clip` the largest gradient norm (0: none).
    After `patience` reports without a better one the training ends (0: never). With `compile` the
    network is trained by torch.compile: minutes at first, worth it on a GPU and in long trainings.
    """

    seed: int = 0
    epochs: int = 1
    batch_size: int = 64
    optimizer: str = "adamw"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    schedule: str = "one_cycle"
    label_smoothing: float = 0.0
    clip: float = 0.0
    patience: int = 0
    shift: int = 0
    flip: bool = False
    rotation: float = 0.0
    solarize: float = 0.0
    compile: bool = False


def recipe_of(config: Any) -> Recipe:
    """Take from a Config what it says of training."""
    names = [field.name for field in fields(Recipe) if hasattr(config, field.name)]
    return Recipe(**{name: getattr(config, name) for name in names})


class Normalise(nn.Module):
    """Raw uint8 pixels to normalised channels_last floats: part of the model, saved with it."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        return augment.normalize(pixels, self.mean, self.std, memory_format=torch.channels_last)


def classify(
    config: Any,
    run: Run,
    network: nn.Module,
    data: ImageData,
    loss: Loss | None = None,
    moments: tuple[Tensor, Tensor] | None = None,
) -> Loop:
    """Train a network on images; reports loss and accuracy on train and validation.

    The network is built by the caller after `seed_everything`, and takes normalised images.
    `loss` takes the place of cross-entropy with the Recipe's label smoothing, `moments` that of
    train's own mean and deviation per channel. Predictions on validation and test are kept.
    """
    recipe = recipe_of(config)
    device = run.device
    on_gpu = device.type == "cuda"
    mean, std = moments or augment.compute_mean_std(data.train.pixels, data.train.rows)
    data = data.to(device)
    train, validation = data.train.head(run.share), data.validation.head(run.share)
    model = nn.Sequential(Normalise(mean, std), network)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    updates = build_optimizer(
        recipe.optimizer,
        model,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
    )
    order = torch.Generator().manual_seed(recipe.seed)
    draws = torch.Generator(device).manual_seed(recipe.seed + 1)
    run.resume(model=model, optimizer=updates, order=order, generator_states=draws)
    # Predictions are made without it: their last batch has another size.
    forward = torch.compile(model) if recipe.compile else model
    batch_size = min(recipe.batch_size, len(train))
    steps = len(train) // batch_size

    def augmented(pixels: Tensor) -> Tensor:
        if recipe.shift:
            pixels = augment.random_shift(pixels, recipe.shift, draws)
        if recipe.flip:
            pixels = augment.random_flip(pixels, draws)
        if recipe.solarize:
            pixels = augment.solarize(pixels, 0.5, recipe.solarize, draws)
        if recipe.rotation:
            pixels = augment.random_rotation(pixels, recipe.rotation, draws)
        return pixels

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = train.rows[torch.randperm(len(train), generator=order).to(device)]
        # A last, smaller batch would weigh its examples more: they wait for another epoch.
        for rows in shuffled[: steps * batch_size].split(batch_size):
            yield augmented(train.pixels.index_select(0, rows)), train.labels[rows]

    def cross_entropy(pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)

    criterion = loss or cross_entropy

    def measure(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        pixels, labels = batch
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = forward(pixels)
        minimised = criterion(pixels, logits.float(), labels)
        return {"loss": minimised, "accuracy": (logits.argmax(1) == labels).float().mean()}

    def outputs(split: Split) -> Tensor:
        chunks = split.rows.split(EVALUATION_BATCH)
        return predict(
            model, (split.pixels.index_select(0, rows) for rows in chunks), autocast=on_gpu
        )

    def evaluate() -> Metrics:
        logits = outputs(validation)
        labels = validation.labels[validation.rows]
        entropy = F.cross_entropy(logits, labels).double()
        accuracy = (logits.argmax(1) == labels).double().mean()
        both = torch.stack([entropy, accuracy]).tolist()
        return {"validation_loss": both[0], "validation_accuracy": both[1]}

    run.keep_predictions(
        validation=lambda: outputs(validation).softmax(1).cpu().numpy(),
        test=lambda: outputs(data.test).softmax(1).cpu().numpy(),
    )
    if run.out_of_patience(recipe.patience):
        return
    for metrics in fit(
        run,
        model,
        updates,
        epochs=recipe.epochs,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=evaluate,
        learning_rate=recipe.learning_rate,
        schedule=get_schedule(recipe.schedule),
        clip=recipe.clip,
    ):
        yield metrics
        if run.out_of_patience(recipe.patience):
            return


def restored(
    network: nn.Module, shape: tuple[int, int, int], classes: Sequence[str], folder: Path
) -> Predictor:
    """Fill a network from a checkpoint: takes (n, *shape) uint8 pixels, gives probabilities."""
    blank = Normalise(torch.zeros(shape[0]), torch.ones(shape[0]))
    model = checkpoint.load_module(nn.Sequential(blank, network), folder)

    def probabilities(pixels: Pixels) -> Pixels:
        chunks = torch.from_numpy(pixels).split(EVALUATION_BATCH)
        return predict(model, iter(chunks)).softmax(1).numpy()

    example = np.zeros((1, *shape), np.uint8)
    return Predictor(probabilities, example, tuple(classes), network=model)


def truth(data: ImageData) -> GroundTruth:
    """Give a report the right answers of the two parts that are predicted, and their images."""
    splits = {"validation": data.validation, "test": data.test}

    def inputs(name: str) -> Pixels:
        split = splits[name]
        return split.pixels.index_select(0, split.rows).numpy()

    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        classes=data.classes,
        targets={
            "validation": data.validation.labels[data.validation.rows].numpy(),
            "test": data.test.labels[data.test.rows].numpy(),
        },
        inputs=inputs,
    )
