"""Is SGD with momentum better than Adam on house numbers, if both are tuned?

The published baseline (a small CNN, batches of 256, 5 epochs) uses Adam. Which optimizer is better
depends on how well each is tuned, so each gets the same number of trials for its learning rate and
weight decay, and SGD's momentum, and the best of each runs on new seeds. Weight decay is a term of
the gradient in both.
"""

from searchspaces import (
    Published,
    PublishedOrder,
    SearchSpace,
    Trial,
    Values,
    suggest_learning_rate,
)
from trainables.tasks import svhn_baseline

RATES = {"adam": (1e-4, 1e-2), "sgd": (3e-3, 3e-1)}
DECAYS = [0.0, 1e-5, 1e-4, 1e-3]


def suggest(trial: Trial) -> Values:
    """Search the optimizer and its hyperparameters."""
    values = suggest_learning_rate(trial, "optimizer", RATES)
    optimizer = values["optimizer"]
    return {
        **values,
        "weight_decay": trial.suggest_categorical(f"weight_decay.{optimizer}", DECAYS),
        "momentum": trial.suggest_float("momentum", 0.5, 0.98) if optimizer == "sgd" else 0.9,
    }


SPACE = SearchSpace(
    **svhn_baseline.TASK,
    suggest=suggest,
    reports=5,
    min_reports=2,
    compare=("optimizer",),
    arms=({"optimizer": "adam"}, {"optimizer": "sgd", "learning_rate": 5e-2}),
    tune_arms=20,
    seeds=5,
    published=(
        Published(
            "Adam with 1e-3, not tuned", 86.16, "test accuracy, %", of={"optimizer": "adam"}
        ),
        PublishedOrder({"optimizer": "adam"}, {"optimizer": "sgd"}),
    ),
)
