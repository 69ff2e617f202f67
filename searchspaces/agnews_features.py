"""Which frozen encoder tells the news of four topics apart best, with nothing learnt but lines?

AG News (Zhang et al., 2015): headlines become vectors once per encoder and machine, and a
logistic regression per topic against the rest tells them apart. The files have no validation
split: a tenth of train is cut off, topic by topic and always the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from searchspaces import SearchSpace
from trainables.data.ag_news import AG_NEWS
from trainables.data.text import TextData, build_ground_truth, load
from trainables.models.logistic import fit_one_vs_rest
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.tasks.features import announce, learn, restored
from trainables.text import encoders

if TYPE_CHECKING:
    import optuna

ENCODERS = ("all-MiniLM-L6-v2", "distilbert-base-uncased")


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
    """Load AG News for a run."""
    return load(AG_NEWS, folder=run.data, cache=run.cache, kind=run.source, download=run.download)


def feasible(config: Config) -> str | None:
    """Refuse an encoder that is neither here nor to be had."""
    return encoders.describe_missing(config.encoder)


def train(config: Config, run: Run) -> Loop:
    """Fit one classifier."""
    yield from learn(config, run, texts(run), fit_one_vs_rest)


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
    """Give encoder and classifier: (n,) texts to (n, 4) probabilities."""
    return restored(config, AG_NEWS.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=1,
    trials=80,
    feasible=feasible,
    prepare=prepare,
    restore=restore,
    compare=("encoder", "pooling"),
)
