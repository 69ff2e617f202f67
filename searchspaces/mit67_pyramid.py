"""How accurately can a network classify indoor scenes from 12,500 photographs, without other data?

MIT Indoor-67 (Quattoni and Torralba, 2009). PyramidCNN: blocks of convolutions, each twice as
wide and half as large as the one before, mean pooling and fully connected layers. Published,
beside the scores below: batch norm and augmentation helped; pretraining as an autoencoder (see
`mit67_autoencoder`) and non-local blocks (Wang et al., 2018) did not. So one network has all that
helped, each of the others differs from it in one of these, and all are tuned by as many trials.
"""

from searchspaces import (
    Published,
    PublishedOrder,
    SearchSpace,
    Trial,
    Values,
    get_defaults,
    suggest_learning_rate,
)
from trainables.tasks import pyramid

RATES = {"adam": (3e-5, 3e-3), "sgd": (3e-3, 0.3)}


def suggest(trial: Trial) -> Values:
    """Search architecture, regularization and optimization."""
    values = suggest_learning_rate(trial, "optimizer", RATES)
    sgd = values["optimizer"] == "sgd"
    return {
        **values,
        "momentum": trial.suggest_float("momentum", 0.8, 0.95) if sgd else 0.9,
        "weight_decay": trial.suggest_float("weight_decay", 1e-5, 1e-2, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "augment": trial.suggest_categorical("augment", [True, False]),
        "batch_norm": trial.suggest_categorical("batch_norm", [True, False]),
        "narrowing": trial.suggest_categorical("narrowing", ["pool", "stride"]),
        "non_local": trial.suggest_categorical("non_local", [False, True]),
        "kernel": trial.suggest_categorical("kernel", [3, 5]),
        "blocks": trial.suggest_int("blocks", 3, 6),
        "depth": trial.suggest_int("depth", 1, 3),
        "filters": trial.suggest_categorical("filters", [8, 16, 32]),
        "fc_layers": trial.suggest_int("fc_layers", 1, 3),
    }


SPACE = SearchSpace(
    **pyramid.TASK,
    suggest=suggest,
    reports=100,
    min_reports=10,
    trials=40,
    compare=("batch_norm", "augment", "non_local"),
    arms=tuple(
        {**get_defaults(pyramid.Config, "batch_norm", "augment", "non_local"), **change}
        for change in ({}, {"batch_norm": False}, {"augment": False}, {"non_local": True})
    ),
    tune_arms=10,
    published=(
        Published("PyramidCNN, best single", 58.0, "validation accuracy, %"),
        Published("ensemble of 10 trained independently", 64.0, "validation accuracy, %"),
        Published("ensemble of 10 trained independently", 63.0, "test accuracy, %"),
        PublishedOrder({"batch_norm": True}, {"batch_norm": False}),
        PublishedOrder({"augment": True}, {"augment": False}),
    ),
)
