"""Do rotation and solarization help a small CNN to read house numbers?

The published baseline (a small CNN, Adam with 1e-3, batches of 256, 5 epochs) on images as they
are against images turned and partly inverted. The publication does not tell how strongly: angles
up to 15 degrees, and every second image inverted where it is bright, are ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from trainables.tasks.svhn_baseline import Config, prepare, restore, train

if TYPE_CHECKING:
    import optuna

PLAIN = {"rotation": 0.0, "solarize": 0.0}
AUGMENTED = {"rotation": 15.0, "solarize": 0.5}


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Ask how strong both are; trials beyond the arms try other strengths."""
    return {
        "rotation": trial.suggest_float("rotation", 0.0, 30.0),
        "solarize": trial.suggest_float("solarize", 0.0, 1.0),
    }


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    prepare=prepare,
    restore=restore,
    compare=("rotation", "solarize"),
    arms=(PLAIN, AUGMENTED),
    published=(
        Published("no augmentation", 86.16, "test accuracy, %", of=PLAIN),
        Published("rotation and solarize", 81.67, "test accuracy, %", of=AUGMENTED),
    ),
)
