"""How much do 531,131 extra, easier digits help a small CNN to read house numbers?

The published baseline (a small CNN, Adam with 1e-3, batches of 256, 5 epochs) on the training set
against training set and extra set together; both are judged on the same validation images. With
the extra set an epoch is eight times as long, so more data also means more updates.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from trainables.data.source import DataMissingError
from trainables.predictor import GroundTruth
from trainables.run import Run
from trainables.tasks import svhn_baseline
from trainables.tasks.svhn_baseline import Config, restore, train

if TYPE_CHECKING:
    import optuna


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch the extra digits too, whichever arm comes first; raises DataMissingError."""
    try:
        return svhn_baseline.prepare(replace(config, extra=True), run)
    except DataMissingError as error:
        raise DataMissingError(
            "the extra digits are missing, which svhn_extra is about (extra.parquet, beside "
            f"train.parquet and test.parquet)\n{error}"
        ) from error


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Ask for the extra digits alone."""
    return {"extra": trial.suggest_categorical("extra", [False, True])}


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    prepare=prepare,
    restore=restore,
    compare=("extra",),
    arms=({"extra": False}, {"extra": True}),
    published=(
        Published("training set", 86.16, "test accuracy, %", of={"extra": False}),
        Published("training and extra set", 88.0, "test accuracy, %", of={"extra": True}),
    ),
)
