"""Which encoder and which linear classifier tell the classes of your own texts best?

Your texts with their labels, as CSV, TSV, JSON lines or Parquet: `--data-dir reviews.csv`. They
are embedded once per encoder and machine by small encoders, and classified by a linear
support-vector classifier: a trial is one fit, which takes seconds without a GPU.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.data.own import OWN_TEXTS
from trainables.tasks import features

ENCODERS = ("all-MiniLM-L6-v2", "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2")


def suggest(trial: Trial) -> Values:
    """Search encoder, pooling, regularization and scaling."""
    return {
        "encoder": trial.suggest_categorical("encoder", ENCODERS),
        "pooling": trial.suggest_categorical("pooling", ["mean", "cls"]),
        "C": trial.suggest_float("C", 1e-6, 10.0, log=True),
        "scaling": trial.suggest_categorical("scaling", ["unit", "none", "standard"]),
    }


SPACE = SearchSpace(
    **features.task(OWN_TEXTS, features.fit_linear_svc, ENCODERS),
    suggest=suggest,
    reports=1,
    trials=60,
    compare=("encoder", "pooling"),
)
