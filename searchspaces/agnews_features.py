"""Which frozen encoder with a linear classifier separates news of four topics best?

AG News (Zhang et al., 2015): headlines are embedded once per encoder and machine, and classified
by a logistic regression per topic against the rest. The files have no validation split: a tenth
of train is used, stratified by topic and always the same.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.data.ag_news import AG_NEWS
from trainables.tasks import features

ENCODERS = ("all-MiniLM-L6-v2", "distilbert-base-uncased")


def suggest(trial: Trial) -> Values:
    """Search encoder, pooling, regularization and scaling."""
    return {
        "encoder": trial.suggest_categorical("encoder", ENCODERS),
        "pooling": trial.suggest_categorical("pooling", ["mean", "cls"]),
        "C": trial.suggest_float("C", 1e-6, 10.0, log=True),
        "scaling": trial.suggest_categorical("scaling", ["unit", "none", "standard"]),
    }


SPACE = SearchSpace(
    **features.task(AG_NEWS, features.fit_one_vs_rest, ENCODERS),
    suggest=suggest,
    reports=1,
    trials=80,
    compare=("encoder", "pooling"),
)
