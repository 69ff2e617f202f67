"""How accurately can a network of at most 150,000 parameters classify house numbers?

Street View House Numbers (Netzer et al., 2011), cropped digits. Separable convolutions, parallel
kernels and VGG-like groups are searched under a hard limit, which is checked before training: a
configuration above it is infeasible and costs nothing.

The 531,131 extra digits are not part of the search, since an epoch with them is eight times as
long: `--set extra=true` trains every configuration with them, on the same validation images.
`--set compile=true` is for GPUs: it takes minutes at first, then each step launches fewer
kernels.
"""

from searchspaces import Published, SearchSpace, Trial, Values, suggest_learning_rate
from trainables.tasks import svhn_separable

RATES = {"adamw": (1e-3, 2e-2), "sgd": (2e-2, 0.5)}
DECAYS = {"adamw": (1e-3, 0.2), "sgd": (1e-5, 5e-3)}


def suggest(trial: Trial) -> Values:
    """Search architecture, regularization and optimization."""
    values = suggest_learning_rate(trial, "optimizer", RATES)
    optimizer = values["optimizer"]
    return {
        **values,
        "weight_decay": trial.suggest_float(
            f"weight_decay.{optimizer}", *DECAYS[optimizer], log=True
        ),
        "momentum": trial.suggest_float("momentum", 0.8, 0.95) if optimizer == "sgd" else 0.9,
        "schedule": trial.suggest_categorical("schedule", ["one_cycle", "cosine", "linear"]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.15),
        "dropout": trial.suggest_float("dropout", 0.0, 0.2),
        "shift": trial.suggest_int("shift", 0, 3),
        "stem": trial.suggest_int("stem", 16, 48, step=8),
        "width": trial.suggest_int("width", 32, 80, step=8),
        "growth": trial.suggest_int("growth", 8, 40, step=8),
        "depths": trial.suggest_categorical(
            "depths", ["1-2-2-2-1", "2-2-2-2-2", "1-1-2-2-2", "1-2-3-2-1", "1-1-1-1-1"]
        ),
        "halve": trial.suggest_categorical("halve", ["1-2-3", "1-2", "1-3", "2-3", "2-4"]),
        "convolution": trial.suggest_categorical("convolution", ["separable", "full"]),
        "kernels": trial.suggest_categorical("kernels", ["3", "5", "3+5", "3+5+7"]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "skip": trial.suggest_categorical("skip", [False, True]),
        "head": trial.suggest_categorical("head", [0, 64, 128]),
    }


SPACE = SearchSpace(
    **svhn_separable.TASK,
    suggest=suggest,
    reports=25,
    min_reports=3,
    trials=40,
    compare=("convolution", "kernels", "optimizer"),
    initial_configs=({"learning_rate": 6e-3},),
    published=(
        Published("course reference, at most 150,000 parameters", 93.0, "test accuracy, %"),
        Published("124,180 parameters, 5 epochs, extra data", 95.34, "test accuracy, %"),
        Published("SimpleNet, 310,000 parameters", 97.63, "test accuracy, %", "best small net"),
    ),
)
