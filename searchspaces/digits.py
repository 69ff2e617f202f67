"""How accurately does a small perceptron classify handwritten digits?

The 1,797 digits of 8 x 8 pixels that are part of scikit-learn: nothing is downloaded, and a
search takes two minutes. Start here to write your own space: a file of yours may contain both
this and what `trainables/tasks/digits.py` has.
"""

from searchspaces import SearchSpace, Trial, Values, suggest_learning_rate
from trainables.tasks import digits

RATES = {"adamw": (3e-4, 3e-2), "sgd": (1e-2, 1.0)}


def suggest(trial: Trial) -> Values:
    """Search architecture, regularization and optimization."""
    return {
        **suggest_learning_rate(trial, "optimizer", RATES),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-1, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128]),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 32, 256, step=32),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


SPACE = SearchSpace(**digits.TASK, suggest=suggest, reports=9, trials=40, compare=("optimizer",))
