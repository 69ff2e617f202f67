"""How much of a model of the digits 1 to 8 must be retrained to tell 0 from 9 by 200 images?

A small CNN learns the other eight digits for 10 epochs, once per machine; then its last layer,
or more of its four, learn the two new ones. Reports are of several epochs each: 5 x 4 for the
published last layer, 5 x 5 for more layers. Validation and test are the zeros and nines of theirs.
`--teacher` gives an earlier source model, which must have seen neither digit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from searchspaces import Published, SearchSpace
from searchspaces.loading import load_trained
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Loop, Run
from trainables.tasks import transfer
from trainables.tasks.transfer import LAYERS, Config, restore

if TYPE_CHECKING:
    import optuna


def given(run: Run) -> Predictor | None:
    """Load the model that --teacher names."""
    return load_trained(run.teacher) if run.teacher else None


def train(config: Config, run: Run) -> Loop:
    """Train one model."""
    yield from transfer.train(config, run, given(run))


def prepare(config: Config, run: Run) -> GroundTruth:
    """Find or fetch SVHN, and see whether the source model may be used."""
    return transfer.prepare(config, run, given(run))


def suggest(trial: optuna.Trial) -> Mapping[str, Any]:
    """Search how much is retrained, how fast and how long."""
    return {
        "unfrozen": trial.suggest_int("unfrozen", 1, LAYERS),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "epochs": trial.suggest_int("epochs", 1, 10),
    }


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=suggest,
    metric="validation_accuracy",
    mode="max",
    reports=5,
    min_reports=3,
    trials=40,
    prepare=prepare,
    restore=restore,
    compare=("unfrozen",),
    initial_configs=tuple({"unfrozen": layers, "epochs": 5} for layers in range(2, LAYERS + 1)),
    teacher_defaults={},
    published=(
        Published("last layer only, 20 epochs", 94.4, "test accuracy, %", of={"unfrozen": 1}),
        Published("more layers, 25 epochs", 93.1, "test accuracy, %", "at the most"),
    ),
)
