"""Which regularization and learning rate of scikit-learn's perceptron fit digits best?

Its predictions are kept, and `prepare` returns the labels that a report compares them with.
"""

from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from searchspaces import SearchSpace
from trainables.integrations.sklearn import Estimator
from trainables.predictor import GroundTruth

SPLITS = {"train": slice(1000), "validation": slice(1000, 1400), "test": slice(1400, 1797)}


@dataclass(frozen=True)
class Config:
    seed: int = 0
    alpha: float = 1e-4
    learning_rate: float = 1e-3


def train(config, run):
    images, labels = load_digits(return_X_y=True)
    x, y = ({name: v[rows] for name, rows in SPLITS.items()} for v in (images / 16, labels))
    model = Estimator(
        MLPClassifier(
            (64,),
            alpha=config.alpha,
            learning_rate_init=config.learning_rate,
            random_state=config.seed,
        )
    )
    run.keep_predictions(
        validation=lambda: model.model.predict_proba(x["validation"]),
        test=lambda: model.model.predict_proba(x["test"]),
    )
    for _ in run.resume(model=model):
        model.model.partial_fit(x["train"], y["train"], classes=range(10))
        probabilities = model.model.predict_proba(x["validation"])
        accuracy = np.mean(probabilities.argmax(1) == y["validation"])
        run.report({"accuracy": accuracy, "loss": log_loss(y["validation"], probabilities)})


def prepare(config, run):
    labels = load_digits().target
    targets = {name: labels[rows] for name, rows in SPLITS.items() if name != "train"}
    return GroundTruth("sklearn-digits", classes=tuple("0123456789"), targets=targets)


def suggest(trial):
    return {
        "alpha": trial.suggest_float("alpha", 1e-6, 1e-1, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True),
    }


SPACE = SearchSpace(
    Config, train, suggest, metric="accuracy", mode="max", reports=9, prepare=prepare
)
