"""How few weights must be trained to fine-tune an encoder for film reviews?

Full fine-tuning and low-rank adapters (Hu et al., 2021) by rank and by the attention matrices that
they are added to, each tuned with the same number of trials, on Rotten Tomatoes (Pang and Lee,
2005), or on your own texts: `--data-dir reviews.csv`. Adapters need about ten times the learning
rate of full fine-tuning, so it is searched for each separately. The published numbers are of
DistilBERT: `--set encoder=distilbert-base-uncased` repeats them; the default encoder is available
as a package, without the hub. How many trials share a GPU depends on the encoder:
`--gpus-per-trial auto` measures it.
"""

from searchspaces import Published, SearchSpace, Trial, Values, suggest_learning_rate
from trainables.tasks import lora

RATES = {"lora": (1e-4, 5e-3), "full": (1e-5, 5e-4)}
FULL = {"method": "full", "targets": "none", "rank": 0}


def suggest(trial: Trial) -> Values:
    """Search the method and the hyperparameters of each."""
    shared = {
        **suggest_learning_rate(trial, "method", RATES),
        "weight_decay": trial.suggest_float("weight_decay", 1e-3, 0.1, log=True),
        "warmup": trial.suggest_float("warmup", 0.0, 0.3),
        "batch_size": trial.suggest_categorical("batch_size", [16, 32]),
        "epochs": trial.suggest_int("epochs", 1, 4),
    }
    if shared["method"] == "full":
        return {**shared, **FULL}
    return {
        **shared,
        "targets": trial.suggest_categorical("targets", ["q", "qv", "qkvo", "all"]),
        "rank": trial.suggest_categorical("rank", [4, 8, 16]),
        "alpha": trial.suggest_categorical("alpha", [8, 16, 32]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.3),
    }


SPACE = SearchSpace(
    **lora.TASK,
    suggest=suggest,
    reports=12,
    min_reports=3,
    tune_arms=8,
    compare=("method", "targets", "rank"),
    arms=(
        *(
            {"method": "lora", "targets": targets, "rank": rank}
            for targets in ("q", "qv", "qkvo", "all")
            for rank in (8, 16)
        ),
        FULL,
    ),
    published=tuple(
        Published(f"DistilBERT, {setting}", accuracy, "validation accuracy", note, of)
        for setting, accuracy, note, of in (
            ("full fine-tuning", 0.860, "10^7.83 trained parameters", FULL),
            *(
                (
                    f"LoRA {targets}, rank {rank}",
                    accuracy,
                    f"10^{size} trained parameters",
                    {"method": "lora", "targets": targets, "rank": rank},
                )
                for targets, rank, size, accuracy in (
                    ("q", 8, 5.82, 0.853),
                    ("q", 16, 5.87, 0.853),
                    ("qv", 8, 5.87, 0.839),
                    ("qv", 16, 5.95, 0.845),
                    ("qkvo", 8, 5.95, 0.848),
                    ("qkvo", 16, 6.07, 0.850),
                )
            ),
        )
    ),
)
