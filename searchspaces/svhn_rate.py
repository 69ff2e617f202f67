"""How far can the learning rate of Adam be from the usual 0.001 on house numbers?

The published baseline (a small CNN, Adam, batches of 256, 5 epochs) at five constant learning
rates. Nothing else varies.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.tasks import svhn_baseline

RATES = {0.1: 19.58, 0.01: 69.02, 0.005: 84.21, 0.001: 86.05, 0.0001: 79.34}
"""Learning rates of the published table, and test accuracies in %."""


def suggest(trial: Trial) -> Values:
    """Search the learning rate only; trials beyond the arms try values between them."""
    return {"learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-1, log=True)}


SPACE = SearchSpace(
    **svhn_baseline.TASK,
    suggest=suggest,
    reports=5,
    compare=("learning_rate",),
    arms=tuple({"learning_rate": rate} for rate in RATES),
    published=tuple(
        Published(f"learning rate {rate:g}", value, "test accuracy, %", of={"learning_rate": rate})
        for rate, value in RATES.items()
    ),
)
