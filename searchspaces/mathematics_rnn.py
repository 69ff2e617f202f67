"""How accurately does a recurrent network answer questions on number theory by characters?

Nine problems of DeepMind Mathematics (Saxton et al., 2019), train-easy. A network with Elman, GRU
or LSTM cells reads the question and writes the answer, which counts if it is correct to the last
character. Some problems need no calculation (place_value was published as near 100 %), others do
(div_remainder was the lowest): the report shows each.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.tasks import seq2seq


def suggest(trial: Trial) -> Values:
    """Search the cell, the size, regularization and optimization."""
    return {
        "cell": trial.suggest_categorical("cell", ["lstm", "gru", "elman"]),
        "embedding": trial.suggest_categorical("embedding", [32, 64, 128]),
        "hidden": trial.suggest_categorical("hidden", [64, 128, 256]),
        "layers": trial.suggest_int("layers", 1, 2),
        "bidirectional": trial.suggest_categorical("bidirectional", [True, False]),
        "shared_embeddings": trial.suggest_categorical("shared_embeddings", [True, False]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.4),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.1),
        "optimizer": trial.suggest_categorical("optimizer", ["adam", "adamw"]),
        "learning_rate": trial.suggest_float("learning_rate", 3e-4, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-6, 1e-2, log=True),
        "schedule": trial.suggest_categorical("schedule", ["constant", "one_cycle", "cosine"]),
        "batch_size": trial.suggest_categorical("batch_size", [32, 64, 128]),
        "clip": trial.suggest_float("clip", 0.1, 5.0, log=True),
    }


SPACE = SearchSpace(
    **seq2seq.TASK,
    suggest=suggest,
    reports=40,
    min_reports=4,
    compare=("cell",),
    published=(
        Published("100,000 questions", 78.97, "train exact match, %"),
        Published("100,000 questions", 57.02, "validation exact match, %"),
        Published("100,000 questions", 56.56, "test exact match, %"),
        Published("is_factor", 70.32, "exact match, %"),
        Published("gcd", 60.61, "exact match, %"),
        Published("is_prime", 60.25, "exact match, %"),
        Published("list_prime_factors", 32.46, "exact match, %"),
    ),
)
