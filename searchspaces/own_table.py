"""Which perceptron predicts a column of your own table best?

Your table, as CSV, TSV, JSON lines or Parquet: `--data-dir table.csv`. The column to predict is
`label`, `target`, `class` or `y`, or else the last one, or the one of `--set target=NAME`. A trial
takes seconds without a GPU.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import table


def suggest(trial: Trial) -> Values:
    """Search architecture, regularization and optimization."""
    return {
        "depth": trial.suggest_int("depth", 1, 4),
        "width": trial.suggest_int("width", 32, 512, step=32),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32, 64, 128, 256]),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 3e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1.0, log=True),
    }


SPACE = SearchSpace(**table.TASK, suggest=suggest, reports=20, min_reports=2, trials=40)
