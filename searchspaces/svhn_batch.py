"""Does the batch size matter on house numbers, or are the differences noise?

The published baseline (a small CNN, Adam at 1e-3, 5 epochs) at six batch sizes. The published
scores are of one run each and differ by less than three points; only repeated runs show whether
that is more than the effect of the seed. Small batches make more updates in the same 5 epochs.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.tasks import svhn_baseline

BATCHES = {16: 86.78, 32: 87.11, 64: 87.56, 128: 86.91, 256: 86.05, 512: 85.14}
"""Batch sizes of the published table, and test accuracies in %."""


def suggest(trial: Trial) -> Values:
    """Search the batch size only."""
    return {"batch_size": trial.suggest_categorical("batch_size", list(BATCHES))}


SPACE = SearchSpace(
    **svhn_baseline.TASK,
    suggest=suggest,
    reports=5,
    compare=("batch_size",),
    arms=tuple({"batch_size": size} for size in BATCHES),
    published=tuple(
        Published(f"batches of {size}", value, "test accuracy, %", of={"batch_size": size})
        for size, value in BATCHES.items()
    ),
)
