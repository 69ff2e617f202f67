"""Does the batch size matter on house numbers, or are the differences noise?

The published baseline (a small CNN, Adam with 1e-3, 5 epochs) at six batch sizes. The published
scores are of one run each and differ by less than three points; only repeated runs can tell
whether that is more than the seed does. Small batches make more updates in the same 5 epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from trainables.tasks.svhn_baseline import Config, prepare, restore, train

if TYPE_CHECKING:
    import optuna

BATCHES = {16: 86.78, 32: 87.11, 64: 87.56, 128: 86.91, 256: 86.05, 512: 85.14}
"""Batch sizes of the published table, and test accuracies in %."""


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Ask for the batch size alone."""
    return {"batch_size": trial.suggest_categorical("batch_size", list(BATCHES))}


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    prepare=prepare,
    restore=restore,
    compare=("batch_size",),
    arms=tuple({"batch_size": size} for size in BATCHES),
    published=tuple(
        Published(f"batches of {size}", value, "test accuracy, %", of={"batch_size": size})
        for size, value in BATCHES.items()
    ),
)
