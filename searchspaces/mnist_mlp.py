"""How accurate is a small perceptron on MNIST, and which of its hyperparameters matter?

The default is the published setting: layers of 128, 64 and 10 units, Adam at 1e-4, batches of
2,048, 15 epochs; loss and accuracy on train and validation every epoch.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import mnist_mlp


def suggest(trial: Trial) -> Values:
    """Search optimization, architecture and regularization."""
    return {
        "learning_rate": trial.suggest_float("learning_rate", 3e-5, 1e-2, log=True),
        "batch_size": trial.suggest_categorical("batch_size", [128, 256, 512, 1024, 2048]),
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 64, 512, step=64),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
    }


SPACE = SearchSpace(
    **mnist_mlp.TASK,
    suggest=suggest,
    reports=15,
    min_reports=2,
    trials=40,
    compare=("depth", "batch_size"),
)
