"""How many leaves and which learning rate of LightGBM classify a table best?

The table is scikit-learn's, of breast cancer: 569 rows of 30 columns.
"""

from dataclasses import dataclass

import lightgbm
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from searchspaces import SearchSpace
from trainables.integrations.lightgbm import ReportCallback


@dataclass(frozen=True)
class Config:
    seed: int = 0
    num_leaves: int = 7
    learning_rate: float = 0.1


def train(config, run):
    rows, labels = load_breast_cancer(return_X_y=True)
    x, x_held_out, y, y_held_out = train_test_split(rows, labels, random_state=0)
    data = lightgbm.Dataset(x, y)
    report = ReportCallback(run, rounds=10)
    lightgbm.train(
        {
            "objective": "binary",
            "metric": ["binary_error", "binary_logloss"],
            "num_leaves": config.num_leaves,
            "learning_rate": config.learning_rate,
            "seed": config.seed,
            "num_threads": 1,
            "verbose": -1,
        },
        data,
        num_boost_round=report.left,
        valid_sets=[lightgbm.Dataset(x_held_out, y_held_out, reference=data)],
        valid_names=["validation"],
        callbacks=[report],
        init_model=report.path,
    )


def suggest(trial):
    return {
        "num_leaves": trial.suggest_int("num_leaves", 2, 31),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
    }


SPACE = SearchSpace(
    Config, train, suggest, metric="validation-binary_logloss", mode="min", reports=9
)
