"""How few weights must be trained to turn an encoder into a film critic?

Full fine-tuning against low-rank adapters (Hu et al., 2021) by rank and by the attention's
matrices that they are put on, on Rotten Tomatoes (Pang and Lee, 2005). Adapters want about ten
times the learning rate of full fine-tuning, so it is searched for each on its own. The published
numbers are of DistilBERT: `--set encoder=distilbert-base-uncased` repeats them; without a hub
the default encoder comes as a package. How many trials share a GPU depends on the encoder:
`--gpus-per-trial auto` measures it.
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
from trainables.run import Loop, Run, seed_everything
from trainables.tasks.lora import finetune, restored
from trainables.text import encoders

if TYPE_CHECKING:
    import optuna

FULL = {"method": "full", "targets": "none", "rank": 0}


@dataclass(frozen=True)
class Config:
    """Settings of one training; the learning rate is the peak value, `epochs` are of the whole.

    `targets`, `rank`, `alpha` and `dropout` are those of adapters: full fine-tuning has none.
    `warmup` is a share of the training.
    """

    seed: int = 0
    encoder: str = "all-MiniLM-L6-v2"
    method: Literal["full", "lora"] = "lora"
    targets: Literal["none", "q", "qv", "qkvo", "all"] = "q"
    rank: int = 8
    alpha: int = 16
    dropout: float = 0.1
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warmup: float = 0.1
    batch_size: int = 32
    epochs: int = 3

    def __post_init__(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise ValueError(f"weight_decay must not be negative: {self.weight_decay}")
        if min(self.batch_size, self.epochs, self.alpha) < 1:
            raise ValueError("batch_size, epochs and alpha must be at least 1")
        for name in ("dropout", "warmup"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if self.method == "lora" and (self.targets == "none" or self.rank < 1):
            raise ValueError(
                f"adapters want targets and a rank of at least 1, not targets={self.targets!r} "
                f"with rank={self.rank}"
            )


def texts(run: Run) -> TextData:
    """Load Rotten Tomatoes for a run."""
    return load(
        ROTTEN_TOMATOES,
        folder=run.data,
        cache=run.cache,
        kind=run.source,
        download=run.download,
    )


def train(config: Config, run: Run) -> Loop:
    """Fine-tune one encoder."""
    seed_everything(config.seed)
    yield from finetune(config, run, texts(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch the data and the encoder."""
    encoders.find_encoder(
        config.encoder, placeholder=run.source == "placeholder", download=run.download
    )
    return build_ground_truth(texts(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search what is trained and, for either method, how."""
    method = trial.suggest_categorical("method", ["lora", "full"])
    rates = {"lora": (1e-4, 5e-3), "full": (1e-5, 5e-4)}[method]
    shared = {
        "method": method,
        "learning_rate": trial.suggest_float(f"learning_rate.{method}", *rates, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
        "warmup": trial.suggest_float("warmup", 0.0, 0.3),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "epochs": trial.suggest_int("epochs", 1, 4),
    }
    if method == "full":
        return {**shared, **FULL}
    return {
        **shared,
        "targets": trial.suggest_categorical("targets", ["q", "qv", "qkvo", "all"]),
        "rank": trial.suggest_categorical("rank", [4, 8, 16]),
        "alpha": trial.suggest_categorical("alpha", [8, 16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
    }


def restore(config: Config, folder: Path) -> Predictor:
    """Give the trained classifier: (n,) texts to (n, 2) probabilities."""
    return restored(config, ROTTEN_TOMATOES.classes, folder)


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=12,
    min_reports=3,
    prepare=prepare,
    restore=restore,
    compare=("method", "targets", "rank"),
    arms=(
        *(
            {"method": "lora", "targets": targets, "rank": rank}
            for targets in ("q", "qv", "qkvo", "all")
            for rank in (8, 16)
        ),
        FULL,
    ),
    published=tuple(
        Published(f"DistilBERT, {setting}", accuracy, "validation accuracy", note, of)
        for setting, accuracy, note, of in (
            ("full fine-tuning", 0.860, "10^7.83 trained parameters", FULL),
            *(
                (
                    f"LoRA {targets}, rank {rank}",
                    accuracy,
                    f"10^{size} trained parameters",
                    {"method": "lora", "targets": targets, "rank": rank},
                )
                for targets, rank, size, accuracy in (
                    ("q", 8, 5.82, 0.853),
                    ("q", 16, 5.87, 0.853),
                    ("qv", 8, 5.87, 0.839),
                    ("qv", 16, 5.95, 0.845),
                    ("qkvo", 8, 5.95, 0.848),
                    ("qkvo", 16, 6.07, 0.850),
                )
            ),
        )
    ),
)
