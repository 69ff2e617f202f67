"""Image classification: data on the device, augmentation by batch, scores after every report."""

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
"""From a batch's augmented uint8 pixels, float32 logits and labels to the loss."""


@dataclass(frozen=True)
class Recipe:
    """Training settings; a Config may have any of these fields, and the others keep the defaults.

    `learning_rate` is the peak value, `epochs` are per report, `shift` is in pixels, `rotation`
    in degrees, `solarize` a probability per image, `clip` the largest gradient norm (0: no
    clipping). Training stops after `patience` reports without improvement (0: never). With
    `compile` the network is trained by torch.compile, which takes minutes at first and pays off
    on a GPU and in long trainings.
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


def read_recipe(config: Any) -> Recipe:
    """Return the Recipe with the values of those of its fields that a Config has."""
    names = [field.name for field in fields(Recipe) if hasattr(config, field.name)]
    return Recipe(**{name: getattr(config, name) for name in names})


class Normalize(nn.Module):
    """Turn uint8 pixels into normalized channels_last floats; saved with the model."""

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    def forward(self, pixels: Tensor) -> Tensor:
        return augment.normalize(pixels, self.mean, self.std, memory_format=torch.channels_last)


def train_classifier(
    config: Any,
    run: Run,
    network: nn.Module,
    data: ImageData,
    loss: Loss | None = None,
    mean_std: tuple[Tensor, Tensor] | None = None,
) -> Loop:
    """Train a network on images; reports loss and accuracy on train and validation.

    The caller builds the network after `seed_everything`; it takes normalized images. `loss`
    replaces cross-entropy with label smoothing, `mean_std` the mean and standard deviation per
    channel of train. Stores predictions for validation and test.
    """
    recipe = read_recipe(config)
    device = run.device
    on_gpu = device.type == "cuda"
    mean, std = mean_std or augment.compute_mean_std(data.train.pixels, data.train.rows)
    data = data.to(device)
    train, validation = data.train.head(run.share), data.validation.head(run.share)
    model = nn.Sequential(Normalize(mean, std), network)
    model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = build_optimizer(
        recipe.optimizer,
        model,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        momentum=recipe.momentum,
    )
    order = torch.Generator().manual_seed(recipe.seed)
    generator = torch.Generator(device).manual_seed(recipe.seed + 1)
    run.resume(model=model, optimizer=optimizer, order=order, draws=generator)
    # Predictions do without it: their last batch has another size.
    forward = torch.compile(model) if recipe.compile else model
    batch_size = min(recipe.batch_size, len(train))
    steps = len(train) // batch_size

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        shuffled = train.rows[torch.randperm(len(train), generator=order).to(device)]
        # Dropped: a last, smaller batch would give its examples more weight.
        for rows in shuffled[: steps * batch_size].split(batch_size):
            pixels = train.pixels.index_select(0, rows)
            yield augment_pixels(pixels, recipe, generator), train.labels[rows]

    def cross_entropy(pixels: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=recipe.label_smoothing)

    criterion = loss or cross_entropy

    def measure(batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        pixels, labels = batch
        with torch.autocast("cuda", torch.bfloat16, enabled=on_gpu):
            logits = forward(pixels)
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": criterion(pixels, logits.float(), labels), "accuracy": accuracy}

    run.keep_predictions(
        validation=lambda: predict_logits(model, validation).softmax(1).cpu().numpy(),
        test=lambda: predict_logits(model, data.test).softmax(1).cpu().numpy(),
    )
    if run.out_of_patience(recipe.patience):
        return
    for metrics in fit(
        run,
        model,
        optimizer,
        epochs=recipe.epochs,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=lambda: evaluate_classifier(model, validation),
        learning_rate=recipe.learning_rate,
        schedule=get_schedule(recipe.schedule),
        clip=recipe.clip,
    ):
        yield metrics
        if run.out_of_patience(recipe.patience):
            return


def augment_pixels(pixels: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Apply the augmentations of a Recipe to a batch of uint8 pixels."""
    if recipe.shift:
        pixels = augment.random_shift(pixels, recipe.shift, generator)
    if recipe.flip:
        pixels = augment.random_flip(pixels, generator)
    if recipe.solarize:
        pixels = augment.solarize(pixels, 0.5, recipe.solarize, generator)
    if recipe.rotation:
        pixels = augment.random_rotation(pixels, recipe.rotation, generator)
    return pixels


def predict_logits(model: nn.Module, split: Split) -> Tensor:
    """Return the logits (n, classes) of a split, float32, on its device."""
    chunks = split.rows.split(EVALUATION_BATCH)
    batches = (split.pixels.index_select(0, rows) for rows in chunks)
    return predict(model, batches, autocast=split.rows.is_cuda)


def evaluate_classifier(model: nn.Module, validation: Split) -> Metrics:
    """Return the loss (nats) and the accuracy on validation."""
    logits, labels = predict_logits(model, validation), validation.labels[validation.rows]
    loss = F.cross_entropy(logits, labels).double()
    accuracy = (logits.argmax(1) == labels).double().mean()
    values = torch.stack([loss, accuracy]).tolist()
    return dict(zip(("validation_loss", "validation_accuracy"), values, strict=True))


def restore_classifier(
    network: nn.Module, shape: tuple[int, int, int], classes: Sequence[str], folder: Path
) -> Predictor:
    """Load a network from a checkpoint; predicts (n, classes) from (n, *shape) uint8 pixels."""
    identity = Normalize(torch.zeros(shape[0]), torch.ones(shape[0]))
    model = checkpoint.load_module(nn.Sequential(identity, network), folder)

    def probabilities(pixels: Pixels) -> Pixels:
        chunks = torch.from_numpy(pixels).split(EVALUATION_BATCH)
        return predict(model, iter(chunks)).softmax(1).numpy()

    example = np.zeros((1, *shape), np.uint8)
    return Predictor(probabilities, example, tuple(classes), network=model)


def build_ground_truth(data: ImageData) -> GroundTruth:
    """Return the labels of validation and test, and the images of every split as inputs."""
    splits = {"train": data.train, "validation": data.validation, "test": data.test}

    def inputs(name: str) -> Pixels:
        split = splits[name]
        return split.pixels.index_select(0, split.rows).numpy()

    def targets(name: str) -> np.ndarray:
        split = splits[name]
        return split.labels[split.rows].numpy()

    return GroundTruth(
        fingerprint=data.fingerprint,
        source=data.source,
        is_own=data.is_own,
        classes=data.classes,
        targets={name: targets(name) for name in ("validation", "test") if len(splits[name])},
        inputs=inputs,
        examples=lambda name: (inputs(name), targets(name)),
    )
