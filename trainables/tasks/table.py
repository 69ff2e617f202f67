"""A perceptron on a table of the user's own: a class or a number from the other columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from trainables import checkpoint
from trainables.checks import (
    check_at_least,
    check_between,
    check_fraction,
    check_non_negative,
    check_positive,
)
from trainables.data.load import load_table
from trainables.data.losses import ACCEPTED
from trainables.data.table import TableData, TableSplit, build_ground_truth
from trainables.data.table_columns import TargetKind, name_kinds
from trainables.data.table_encoding import Encoding, fit_encoding, read_encoding
from trainables.errors import UserError
from trainables.fit import fit
from trainables.models.table_mlp import TableMLP
from trainables.optim import build_optimizer, cosine
from trainables.predictor import GroundTruth, Predictor
from trainables.ranking import Metrics
from trainables.run import Loop, Run, seed_everything
from trainables.task import Task

EVALUATION_BATCH = 8192
Batch = tuple[Tensor, Tensor, Tensor]
"""Numbers, codes and targets."""


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `steps` are per report.

    `target` names the column to predict, where it is not found, and `kind` says whether that is
    a class or a number; "auto" tells by its values. `accept_losses` is the fraction of the rows
    that may be unusable.
    """

    seed: int = 0
    depth: int = 2
    width: int = 128
    dropout: float = 0.1
    batch_size: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    steps: int = 50
    target: str = ""
    kind: TargetKind = "auto"
    accept_losses: float = ACCEPTED

    def __post_init__(self) -> None:
        check_at_least(self, 1, "depth", "width", "batch_size", "steps")
        check_fraction(self, "dropout")
        check_positive(self, "learning_rate")
        check_non_negative(self, "weight_decay")
        check_between(self, 0, 1, "accept_losses")


def build_network(config: Config, encoding: Encoding) -> TableMLP:
    """Build the perceptron for the columns of an encoding."""
    return TableMLP(
        encoding.width,
        [len(levels) + 1 for levels in encoding.levels],
        [config.width] * config.depth,
        len(encoding.classes) or 1,
        config.dropout,
        encoding.to_json(),
    )


def load_data(config: Config, run: Run) -> TableData:
    """Load the table of the user's own."""
    return load_table(run, config.target, config.kind, config.accept_losses)


def train(config: Config, run: Run) -> Loop:
    """Train one perceptron; a report is `steps` batches, wherever in an epoch they end.

    The score is the accuracy on validation, or R² of a regression.
    """
    data = load_data(config, run)
    encoding = fit_encoding(data.columns, data.train.rows, data.train.targets, data.classes)
    seed_everything(config.seed)
    model = build_network(config, encoding).to(run.device)
    optimizer = build_optimizer(
        "adamw",
        model,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        momentum=0.9,
    )
    order = torch.Generator().manual_seed(config.seed)
    run.resume(model=model, optimizer=optimizer, order=order)
    examples = to_tensors(encoding, data.train, run.device)
    validation = to_tensors(encoding, data.validation, run.device)
    count = len(data.train)
    batch_size = min(config.batch_size, count)
    steps = max(1, round(run.share * config.steps))

    def batches() -> Iterator[Batch]:
        epochs = -(-steps * batch_size // count)
        rows = torch.cat([torch.randperm(count, generator=order) for _ in range(epochs)])
        for chosen in rows[: steps * batch_size].to(run.device).split(batch_size):
            numbers, codes, targets = (tensor[chosen] for tensor in examples)
            yield numbers, codes, targets

    def measure(batch: Batch) -> dict[str, Tensor]:
        numbers, codes, targets = batch
        return {"loss": compute_loss(encoding, model(numbers, codes), targets)}

    if data.classes:
        run.keep_predictions(
            validation=lambda: predict_rows(model, encoding, data.validation.rows),
            test=lambda: predict_rows(model, encoding, data.test.rows),
        )
    yield from fit(
        run,
        model,
        optimizer,
        epochs=1,
        steps=steps,
        batches=batches,
        measure=measure,
        evaluate=lambda: evaluate(model, encoding, validation),
        learning_rate=config.learning_rate,
        schedule=cosine,
    )


def to_tensors(encoding: Encoding, split: TableSplit, device: torch.device) -> Batch:
    """Return a split on a device; the target of a regression is standardized."""
    numbers, codes = map(torch.from_numpy, encoding.encode(split.rows))
    targets = torch.from_numpy(split.targets)
    if encoding.is_regression:
        targets = ((targets - encoding.target_mean) / encoding.target_deviation).float()
    return numbers.to(device), codes.to(device), targets.to(device)


def compute_loss(encoding: Encoding, outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy (nats), or the mean squared error of a regression."""
    if encoding.is_regression:
        return F.mse_loss(outputs.squeeze(1), targets)
    return F.cross_entropy(outputs, targets)


def evaluate(model: TableMLP, encoding: Encoding, examples: Batch) -> Metrics:
    """Return loss and score, and of a regression the root of the mean squared error, in units."""
    numbers, codes, targets = examples
    outputs = _apply(model, numbers, codes)
    loss = compute_loss(encoding, outputs, targets).item()
    if not encoding.is_regression:
        score = (outputs.argmax(1) == targets).double().mean().item()
        return {"validation_loss": loss, "validation_score": score}
    total = targets.double().var(correction=0).item()
    if not total:
        raise UserError("own_table: the target is the same in all rows of validation")
    error = loss**0.5 * encoding.target_deviation
    return {
        "validation_loss": loss,
        "validation_score": 1 - loss / total,
        "validation_rmse": error,
    }


def predict_rows(model: TableMLP, encoding: Encoding, rows: np.ndarray) -> np.ndarray:
    """Return the probabilities (n, classes) of rows (n, columns), or the numbers (n,)."""
    device = next(model.parameters()).device
    numbers, codes = map(torch.from_numpy, encoding.encode(rows))
    outputs = _apply(model, numbers.to(device), codes.to(device)).cpu()
    if not encoding.is_regression:
        return outputs.softmax(1).numpy()
    values = outputs.squeeze(1).double() * encoding.target_deviation + encoding.target_mean
    return values.numpy()


def _apply(model: TableMLP, numbers: Tensor, codes: Tensor) -> Tensor:
    was_training = model.training
    model.eval()
    pairs = zip(numbers.split(EVALUATION_BATCH), codes.split(EVALUATION_BATCH), strict=True)
    with torch.inference_mode():
        outputs = torch.cat([model(*pair) for pair in pairs])
    model.train(was_training)
    return outputs


def prepare(config: Config, run: Run) -> GroundTruth:
    """Load the table."""
    return build_ground_truth(load_data(config, run))


def restore(config: Config, folder: Path) -> Predictor:
    """Load a trained perceptron: rows (n, columns) of type object, numbers first, -> predictions.

    These are probabilities (n, classes), or numbers (n,) of a regression.
    """
    saved = checkpoint.read(folder)
    if saved is None:
        raise UserError(f"no complete checkpoint in {folder}")
    encoding = read_encoding(saved[1]["parts"]["model"]["_extra_state"])
    model = build_network(config, encoding)
    checkpoint.load_module(model, folder)
    first = [of[0] if of else None for of in encoding.levels]
    example = np.array([[*encoding.means, *first]], dtype=object)
    return Predictor(
        lambda rows: predict_rows(model, encoding, rows),
        example,
        encoding.classes,
        columns=name_kinds(encoding.numbers, encoding.categories),
        target=encoding.target,
    )


TASK = Task(
    config=Config,
    train=train,
    metric="validation_score",
    mode="max",
    prepare=prepare,
    restore=restore,
)
