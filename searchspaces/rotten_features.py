"""Which frozen encoder with a linear classifier separates good from bad film reviews best?

Rotten Tomatoes (Pang and Lee, 2005), or your own texts (`--data-dir reviews.csv`): sentences are
embedded once per encoder and machine, and classified by a linear support-vector classifier. A
trial is one fit, so a search can try hundreds of values of C per minute, for every encoder and
pooling.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.data.rotten_tomatoes import ROTTEN_TOMATOES
from trainables.tasks import features

ENCODERS = ("all-MiniLM-L6-v2", "distilbert-base-uncased", "all-mpnet-base-v2")


def suggest(trial: Trial) -> Values:
    """Search encoder, pooling, regularization and scaling."""
    return {
        "encoder": trial.suggest_categorical("encoder", ENCODERS),
        "pooling": trial.suggest_categorical("pooling", ["mean", "cls"]),
        "C": trial.suggest_float("C", 1e-6, 10.0, log=True),
        "scaling": trial.suggest_categorical("scaling", ["unit", "none", "standard"]),
    }


SPACE = SearchSpace(
    **features.task(ROTTEN_TOMATOES, features.fit_linear_svc, ENCODERS),
    suggest=suggest,
    reports=1,
    trials=120,
    compare=("encoder", "pooling"),
    published=tuple(
        Published(f"{encoder}, {pooling}", value, f"{split} accuracy", note, of)
        for encoder, pooling, note, *values in (
            ("distilbert-base-uncased", "cls", "66 M", 0.849, 0.822, 0.798),
            ("distilbert-base-uncased", "mean", "66 M", 0.846, 0.810, 0.788),
            ("all-MiniLM-L6-v2", "mean", "22.7 M", 0.791, 0.767, 0.777),
            ("all-mpnet-base-v2", "mean", "109 M", 0.879, 0.855, 0.847),
        )
        for split, value in zip(("train", "validation", "test"), values, strict=True)
        for of in ({"encoder": encoder, "pooling": pooling},)
    ),
)
