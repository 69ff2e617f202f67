"""How well does a recurrent network answer questions on number theory, one character at a time?

Nine kinds of questions of DeepMind Mathematics (Saxton et al., 2019), train-easy. A network with
Elman, GRU or LSTM cells reads the question and writes the answer, which counts when it is right
to the last character. Some kinds are a matter of reading (place_value was published as near
100 %), others of calculating (div_remainder as the lowest): the report tells them apart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from searchspaces import Published, SearchSpace
from trainables.data.characters import VOCABULARY_SIZE
from trainables.data.mathematics import Mathematics, load
from trainables.models.seq2seq import Seq2Seq
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.seq2seq import answer_questions, restored, truth

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class Config:
    """Settings of one training; `epochs` are per report, `clip` is the largest gradient norm.

    `count` questions of all kinds together, four fifths of them to train on. `code` chooses the
    cells of PyTorch or the ones written out here, which give the same numbers more slowly. After
    `patience` reports without a better one the training ends (0: never).
    """

    seed: int = 0
    count: int = 100_000
    cell: Literal["elman", "gru", "lstm"] = "lstm"
    code: Literal["torch", "written"] = "torch"
    embedding: int = 64
    hidden: int = 128
    layers: int = 1
    bidirectional: bool = True
    shared_embeddings: bool = True
    dropout: float = 0.15
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    schedule: Literal["constant", "one_cycle", "cosine", "linear"] = "constant"
    batch_size: int = 64
    label_smoothing: float = 0.0
    clip: float = 0.25
    patience: int = 10
    epochs: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        for name in ("weight_decay", "clip", "patience"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}")
        for name in ("embedding", "hidden", "layers", "batch_size", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("dropout", "label_smoothing"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if self.count < 90:
            raise ValueError(f"count must be at least 90, ten of each kind, not {self.count}")


def network(config: Config) -> Seq2Seq:
    """Build the network that a configuration describes."""
    return Seq2Seq(
        VOCABULARY_SIZE,
        cell=config.cell,
        code=config.code,
        embedding=config.embedding,
        hidden=config.hidden,
        layers=config.layers,
        bidirectional=config.bidirectional,
        shared=config.shared_embeddings,
        dropout=config.dropout,
    )


def questions(config: Config, run: Run) -> Mathematics:
    """Load the published questions where the user has them, else make some of the same kind."""
    return load(run.data, run.cache, run.source, config.count, download=run.download)


def train(config: Config, run: Run) -> Loop:
    """Train one network."""
    seed_everything(config.seed)
    yield from answer_questions(config, run, network(config), questions(config, run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or generate the questions, once for this machine."""
    return truth(questions(config, run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search the cell, the size, the regularisation and the optimization."""
    return {
        "cell": trial.suggest_categorical("cell", ["lstm", "gru", "elman"]),
        "embedding": trial.suggest_categorical("embedding", [32, 64, 128]),
        "hidden": trial.suggest_categorical("hidden", [64, 128, 256]),
        "layers": trial.suggest_int("layers", 1, 2),
        "bidirectional": trial.suggest_categorical("bidirectional", [True, False]),
        "shared_embeddings": trial.suggest_categorical("shared_embeddings", [True, False]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.1),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "adamw"]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "schedule": trial.suggest_categorical("schedule", ["constant", "one_cycle", "cosine"]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "clip": trial.suggest_float("clip", 0.1, 5.0, log=True),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained network: questions (n,) to answers (n,)."""
    return restored(network(config), folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_exact_match",
    mode="max",
    reports=40,
    min_reports=4,
    trials=20,
    prepare=prepare,
    restore=restore,
    compare=("cell",),
    published=(
        Published("100,000 questions", 78.97, "train exact match, %"),
        Published("100,000 questions", 57.02, "validation exact match, %"),
        Published("100,000 questions", 56.56, "test exact match, %"),
        Published("is_factor", 70.32, "exact match, %"),
        Published("gcd", 60.61, "exact match, %"),
        Published("is_prime", 60.25, "exact match, %"),
        Published("list_prime_factors", 32.46, "exact match, %"),
    ),
)
