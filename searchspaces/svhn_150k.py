"""How accurately can a network of at most 150,000 parameters classify house numbers?

Street View House Numbers (Netzer et al., 2011), cropped digits. Separable convolutions, inverted
bottlenecks, parallel kernels and VGG-like groups are searched under a hard limit, which is checked
before training: a configuration above it is infeasible and costs nothing.

The second configuration is the published one of 124,180 parameters, which was trained for 5 epochs
with the extra digits; its widths and depths were not published, these have as many parameters.

The 531,131 extra digits are not part of the search, since an epoch with them is eight times as
long: `--set extra=true` trains every configuration with them, on the same validation images.
`--set compile=true` is for GPUs: it takes minutes at first, then each step launches fewer
kernels.
"""

from searchspaces import Published, SearchSpace, Trial, Values, suggest_learning_rate
from trainables.tasks import svhn_separable

RATES = {"adamw": (1e-3, 2e-2), "sgd": (2e-2, 0.5)}
WIDTHS = {"separable": (32, 80, 4, 48), "bottleneck": (16, 32, 0, 8), "full": (16, 32, 0, 16)}
"""Ranges of width and growth, wide enough for the limit and not much wider."""
SCHEDULES = ["one_cycle", "cosine", "linear", "constant"]
DEPTHS = ["1-2-2-2-1", "2-2-2-2-2", "1-1-2-2-2", "1-2-3-2-1", "1-1-1-1-1", "3-3-1-1"]
DECAYS = {"adamw": (1e-3, 0.2), "sgd": (1e-5, 5e-3)}


def suggest(trial: Trial) -> Values:
    """Search architecture, regularization and optimization."""
    values = suggest_learning_rate(trial, "optimizer", RATES)
    optimizer = values["optimizer"]
    convolution = trial.suggest_categorical("convolution", ["separable", "bottleneck", "full"])
    return {
        **values,
        "weight_decay": trial.suggest_float(
            f"weight_decay.{optimizer}", *DECAYS[optimizer], log=True
        ),
        "momentum": trial.suggest_float("momentum", 0.8, 0.95) if optimizer == "sgd" else 0.9,
        "schedule": trial.suggest_categorical("schedule", SCHEDULES),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128, 256]),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.15),
        "dropout": trial.suggest_float("dropout", 0.0, 0.2),
        "dropout_after": trial.suggest_categorical("dropout_after", ["group", "convolution"]),
        "shift": trial.suggest_int("shift", 0, 3),
        "stem": trial.suggest_int("stem", 16, 48),
        "width": trial.suggest_int(f"width.{convolution}", *WIDTHS[convolution][:2], step=8),
        "growth": trial.suggest_int(f"growth.{convolution}", *WIDTHS[convolution][2:], step=4),
        "depths": trial.suggest_categorical("depths", DEPTHS),
        "halve": trial.suggest_categorical("halve", ["1-2-3", "1-2", "1-3", "2-3", "2-4"]),
        "convolution": convolution,
        "expansion": trial.suggest_int("expansion", 2, 4) if convolution == "bottleneck" else 3,
        "kernels": trial.suggest_categorical("kernels", ["3", "5", "3+5", "3+5+7"]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "skip": trial.suggest_categorical("skip", [False, True]),
        "pooled_size": trial.suggest_categorical("pooled_size", [1, 2, 3]),
        "head": trial.suggest_categorical("head", [0, 64, 128]),
    }


PUBLISHED = {
    "stem": 31,
    "width": 64,
    "growth": 44,
    "depths": "3-3-1-1",
    "kernels": "5",
    "batch_norm": False,
    "pooled_size": 3,
    "dropout": 0.05,
    "optimizer": "sgd",
    "learning_rate": 0.1,
    "weight_decay": 1e-5,
    "batch_size": 256,
    "label_smoothing": 0.0,
    "schedule": "constant",
    "shift": 0,
}

SPACE = SearchSpace(
    **svhn_separable.TASK,
    suggest=suggest,
    reports=25,
    min_reports=3,
    trials=40,
    compare=("convolution", "kernels", "optimizer"),
    initial_configs=({"learning_rate": 6e-3}, PUBLISHED),
    published=(
        Published("course reference, at most 150,000 parameters", 93.0, "test accuracy, %"),
        Published("124,180 parameters, 5 epochs, extra data", 95.34, "test accuracy, %"),
        Published("SimpleNet, 310,000 parameters", 97.63, "test accuracy, %", "best small net"),
    ),
)
