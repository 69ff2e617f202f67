"""Which frozen encoder tells good film reviews from bad, with nothing learnt but a line?

Rotten Tomatoes (Pang and Lee, 2005): sentences become vectors once per encoder and machine, and
a linear support-vector classifier tells them apart. A trial is one fit, so hundreds a minute
search its only number, C, for every encoder and pooling.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from searchspaces import Published, SearchSpace
from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.data.text import TextData, build_ground_truth, load
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.tasks.features import announce, learn, restored, support_vectors
from trainables.text import encoders

if TYPE_CHECKING:
    import optuna

ENCODERS = ("all-MiniLM-L6-v2", "distilbert-base-uncased", "all-mpnet-base-v2")


@dataclass(frozen=True)
class Config:
    """Settings of one fit; `encoder` is a name on the hub or a folder, C weighs the errors.

    Vectors are taken as they are, at unit length, or with zero mean and unit variance.
    """

    encoder: str = "all-MiniLM-L6-v2"
    pooling: Literal["cls", "mean"] = "mean"
    C: float = 1.0
    scaling: Literal["none", "unit", "standard"] = "unit"

    def __post_init__(self) -> None:
        if not 0 < self.C < math.inf:
            raise ValueError(f"C must be above 0, not {self.C}")


def texts(run: Run) -> TextData:
    """Load Rotten Tomatoes for a run."""
    return load(
        ROTTEN_TOMATOES,
        folder=run.data,
        cache=run.cache,
        kind=run.source,
        download=run.download,
    )


def feasible(config: Config) -> str | None:
    """Refuse an encoder that is neither here nor to be had."""
    return encoders.describe_missing(config.encoder)


def train(config: Config, run: Run) -> Loop:
    """Fit one classifier."""
    yield from learn(config, run, texts(run), support_vectors)


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch the data and the encoder."""
    encoder = encoders.find_encoder(
        config.encoder, placeholder=run.source == "placeholder", download=run.download
    )
    data = texts(run)
    announce(run, data, encoder, ENCODERS)
    return build_ground_truth(data)


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search C and the scaling for every encoder and pooling."""
    return {
        "encoder": trial.suggest_categorical("encoder", ENCODERS),
        "pooling": trial.suggest_categorical("pooling", ["mean", "cls"]),
        "C": trial.suggest_float("C", 1e-6, 10.0, log=True),
        "scaling": trial.suggest_categorical("scaling", ["unit", "none", "standard"]),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give encoder and classifier: (n,) texts to (n, 2) probabilities."""
    return restored(config, ROTTEN_TOMATOES.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=1,
    trials=120,
    feasible=feasible,
    prepare=prepare,
    restore=restore,
    compare=("encoder", "pooling"),
    published=tuple(
        Published(f"{encoder}, {pooling}", value, f"{split} accuracy", note, of)
        for encoder, pooling, note, *values in (
            ("distilbert-base-uncased", "cls", "66 M", 0.849, 0.822, 0.798),
            ("distilbert-base-uncased", "mean", "66 M", 0.846, 0.810, 0.788),
            ("all-MiniLM-L6-v2", "mean", "22.7 M", 0.791, 0.767, 0.777),
            ("all-mpnet-base-v2", "mean", "109 M", 0.879, 0.855, 0.847),
        )
        for split, value in zip(("train", "validation", "test"), values, strict=True)
        for of in ({"encoder": encoder, "pooling": pooling},)
    ),
)
