"""The trainings of the tables: small, of different kinds, with a default that a user would write.

A table is built from one of them by `python -m tests.benchmarks.regret.build`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from searchspaces.space import SearchSpace, suggest_learning_rate
from trainables.models.mlp import mlp
from trainables.optim import build_optimizer, constant, one_cycle, set_learning_rate
from trainables.run import Loop, Run, seed_everything

if TYPE_CHECKING:
    import optuna

REPORTS = 27
"""Reports of a full training, of one epoch each: rungs at 1, 3 and 9."""


@dataclass(frozen=True)
class Config:
    """Settings of one training; `width` are units, channels or hashed words."""

    seed: int = 0
    optimizer: str = "adamw"
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    batch_size: int = 32
    depth: int = 2
    width: int = 128
    dropout: float = 0.1


class Data(NamedTuple):
    """Inputs and labels, for training and for validation."""

    x: Tensor
    y: Tensor
    valid_x: Tensor
    valid_y: Tensor


class Recurrent(nn.Module):
    """A GRU over the rows of a picture, (n, rows, columns) -> (n, 10)."""

    def __init__(self, columns: int, config: Config) -> None:
        super().__init__()
        self.gru = nn.GRU(columns, config.width, config.depth, batch_first=True)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(config.width, 10))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.head(self.gru(x)[0][:, -1])
        return logits


def build_cnn(config: Config) -> nn.Module:
    """Build a network of 3 x 3 convolutions: (n, 3, 16, 16) -> (n, 10)."""
    layers: list[nn.Module] = []
    channels = 3
    for _ in range(config.depth):
        layers += [nn.Conv2d(channels, config.width, 3, stride=2, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(config.width), nn.ReLU()]
        channels = config.width
    head = (nn.Dropout(config.dropout), nn.Linear(channels, 10))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


@cache
def load_images(run_data: str, name: str, side: int, count: int) -> Data:
    """Load 2 x `count` pictures, side x side, the second half for validation."""
    rows = pq.read_table(f"{run_data}/{name}/train.parquet").slice(0, 2 * count)
    pictures = [Image.open(io.BytesIO(r["bytes"])) for r in rows["image"].to_pylist()]
    small = [np.asarray(p.resize((side, side), Image.Resampling.BOX)) for p in pictures]
    x = torch.from_numpy(np.stack(small).astype(np.float32) / 255 - 0.5) / 0.25
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x
    y = torch.tensor(rows["label"].to_pylist())
    return Data(x[:count], y[:count], x[count:], y[count:])


@cache
def load_texts(run_data: str, features: int) -> Data:
    """Load 3,000 reviews for training and 1,066 for validation as hashed words."""
    from sklearn.feature_extraction.text import HashingVectorizer

    hashing = HashingVectorizer(n_features=features, ngram_range=(1, 2), alternate_sign=True)
    parts: list[Tensor] = []
    for split, step in (("train", 3), ("validation", 1)):
        rows = pq.read_table(f"{run_data}/rotten_tomatoes/{split}.parquet")
        x = hashing.transform(rows["text"].to_pylist()[::step]).toarray()
        parts += [torch.from_numpy(x).float(), torch.tensor(rows["label"].to_pylist()[::step])]
    return Data(*parts)


@cache
def load_digits() -> Data:
    """Load half of scikit-learn's digits for training, and the other half for validation."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    x, y = torch.from_numpy(bunch.data).float() / 8 - 1, torch.from_numpy(bunch.target)
    return Data(x[::2], y[::2], x[1::2], y[1::2])


def make_train(
    build: Callable[[Config], nn.Module],
    load: Callable[[Config, str], Data],
    schedule: Callable[[float], float] = one_cycle,
) -> Callable[[Config, Run], Loop]:
    """Return a task that trains what `build` builds on what `load` loads, an epoch a report."""

    def train(config: Config, run: Run) -> Loop:
        seed_everything(config.seed)
        data, model = load(config, str(run.data)), build(config)
        optimizer = build_optimizer(
            config.optimizer,
            model,
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            momentum=0.9,
        )
        size = config.batch_size
        steps = len(data.x) // size
        for report in run.resume():
            model.train()
            rows = torch.randperm(len(data.x))[: steps * size].split(size)
            for step, batch in enumerate(rows):
                progress = (report * steps + step) / (steps * run.reports)
                set_learning_rate(optimizer, config.learning_rate * schedule(progress))
                optimizer.zero_grad()
                loss = F.cross_entropy(model(data.x[batch]), data.y[batch], label_smoothing=0.05)
                loss.backward()
                optimizer.step()
            model.eval()
            with torch.inference_mode():
                right = model(data.valid_x).argmax(1) == data.valid_y
            yield {"validation_accuracy": right.float().mean().item()}

    return train


def suggest_regularization(trial: optuna.Trial) -> dict[str, Any]:
    """Suggest what all kinds have."""
    return {
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


def suggest_mnist(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest a perceptron on pictures of 14 x 14."""
    return {
        **suggest_learning_rate(trial, "optimizer", {"adamw": (3e-4, 3e-2), "sgd": (1e-2, 1.0)}),
        **suggest_regularization(trial),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 32, 256, step=32),
    }


def suggest_cliff(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest a deep perceptron whose learning rate, without a schedule, is often too high."""
    return {
        **suggest_regularization(trial),
        "optimizer": "sgd",
        "learning_rate": trial.suggest_float("learning_rate", 1e-3, 3.0, log=True),
        "depth": trial.suggest_int("depth", 2, 8),
        "width": trial.suggest_int("width", 16, 128, step=16),
    }


def suggest_text(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest a linear classifier of hashed words."""
    rates = {"adamw": (1e-4, 1e-1), "sgd": (1e-2, 30.0)}
    return {
        **suggest_learning_rate(trial, "optimizer", rates),
        **suggest_regularization(trial),
        "width": trial.suggest_categorical("width", [512, 1024, 2048, 4096, 8192]),
    }


def suggest_svhn(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest a small convolutional network on house numbers of 16 x 16."""
    return {
        **suggest_learning_rate(trial, "optimizer", {"adamw": (3e-4, 1e-1), "sgd": (1e-2, 3.0)}),
        **suggest_regularization(trial),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 8, 32, step=8),
    }


def suggest_gru(trial: optuna.Trial) -> Mapping[str, Any]:
    """Suggest a recurrent network over the rows of a picture of 14 x 14."""
    return {
        **suggest_regularization(trial),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
        "depth": trial.suggest_int("depth", 1, 2),
        "width": trial.suggest_int("width", 8, 64, step=8),
    }


def make_space(
    name: str,
    suggest: Callable[[optuna.Trial], Mapping[str, Any]],
    train: Callable[[Config, Run], Loop],
    **start: Any,
) -> SearchSpace[Any]:
    """Return the space of a kind, whose first known configuration is `start`, its default."""
    return SearchSpace(
        config=Config,
        train=train,
        suggest=suggest,
        metric="validation_accuracy",
        mode="max",
        reports=REPORTS,
        initial_configs=(start,) if start else (),
        name=name,
    )


KINDS = {
    space.name: space
    for space in (
        make_space(
            "mnist",
            suggest_mnist,
            make_train(
                lambda c: mlp(196, [c.width] * c.depth, 10, c.dropout),
                lambda c, data: load_images(data, "mnist", 14, 3000),
            ),
        ),
        make_space(
            "cliff",
            suggest_cliff,
            make_train(
                lambda c: mlp(64, [c.width] * c.depth, 10, c.dropout),
                lambda c, data: load_digits(),
                constant,
            ),
            optimizer="sgd",
            learning_rate=0.1,
            depth=3,
            width=64,
        ),
        make_space(
            "text",
            suggest_text,
            make_train(
                lambda c: nn.Sequential(nn.Dropout(c.dropout), nn.Linear(c.width, 2)),
                lambda c, data: load_texts(data, c.width),
            ),
            width=4096,
        ),
        make_space(
            "svhn",
            suggest_svhn,
            make_train(build_cnn, lambda c, data: load_images(data, "svhn", 16, 1500)),
            width=24,
            depth=3,
            batch_size=64,
        ),
        make_space(
            "gru",
            suggest_gru,
            make_train(
                lambda c: Recurrent(14, c), lambda c, data: load_images(data, "mnist", 14, 1500)
            ),
            width=32,
            depth=1,
        ),
    )
}
