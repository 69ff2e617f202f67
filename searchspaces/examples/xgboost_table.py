"""Which depth and learning rate of XGBoost classify a table best?

The table is scikit-learn's, of breast cancer: 569 rows of 30 columns.
"""

from dataclasses import dataclass

import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

from searchspaces import SearchSpace
from trainables.integrations.xgboost import ReportCallback


@dataclass(frozen=True)
class Config:
    seed: int = 0
    max_depth: int = 3
    learning_rate: float = 0.1


def train(config, run):
    rows, labels = load_breast_cancer(return_X_y=True)
    x, x_held_out, y, y_held_out = train_test_split(rows, labels, random_state=0)
    report = ReportCallback(run, rounds=10)
    xgboost.train(
        {
            "objective": "binary:logistic",
            "eval_metric": ["error", "logloss"],
            "max_depth": config.max_depth,
            "learning_rate": config.learning_rate,
            "seed": config.seed,
            "nthread": 1,
        },
        xgboost.DMatrix(x, y),
        num_boost_round=report.left,
        evals=[(xgboost.DMatrix(x_held_out, y_held_out), "validation")],
        callbacks=[report],
        xgb_model=report.path,
        verbose_eval=False,
    )


def suggest(trial):
    return {
        "max_depth": trial.suggest_int("max_depth", 1, 8),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.5, log=True),
    }


SPACE = SearchSpace(Config, train, suggest, metric="validation-logloss", mode="min", reports=9)
