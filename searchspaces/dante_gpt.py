"""Which architecture of a small transformer predicts Dante best, one character at a time?

A GPT (Radford et al., 2019) is trained on most of the Inferno and evaluated on the cantos that
follow, in nats per character. 144,000 characters are few: a large model soon overfits, so size
and dropout are searched together.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import language_model


def suggest(trial: Trial) -> Values:
    """Search architecture, dropout and the learning rate."""
    return {
        "layers": trial.suggest_int("layers", 1, 6),
        "heads": trial.suggest_categorical("heads", [1, 2, 4, 6, 8]),
        "width": trial.suggest_int("width", 32, 256, step=32),
        "block": trial.suggest_categorical("block", [32, 64, 128, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
    }


SPACE = SearchSpace(
    **language_model.TASK,
    suggest=suggest,
    reports=20,
    min_reports=3,
    trials=30,
    compare=("layers", "block"),
)
