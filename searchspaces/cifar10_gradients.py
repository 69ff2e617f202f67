"""Do skip connections work because they prevent vanishing gradients in deep networks?

The networks of `cifar10_depth`, without and with skips, and the mean absolute gradient of the
last layer's weight over the first 150 batches: a report is the mean of five of them. Published,
without numbers: at every depth (10, 20, 25 and 50 layers) the gradients approach zero without
skips, and with skips they do not.

Two stages of `blocks` blocks make 4 blocks + 2 layers, which does not give every depth: 2 blocks
make 10 layers, 4 (18 layers) replace 20, 6 (26) replace 25 and 12 replace 50. The score of a
trial is its smallest gradient, so the row that the report calls best has the gradients that
vanish most.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import gradients


def suggest(trial: Trial) -> Values:
    """Search depth and skips; all networks are trained in the same way."""
    return {
        "blocks": trial.suggest_int("blocks", 2, 12),
        "skip": trial.suggest_categorical("skip", [False, True]),
    }


SPACE = SearchSpace(
    **gradients.TASK,
    suggest=suggest,
    reports=30,
    compare=("blocks", "skip"),
    arms=tuple(
        {"blocks": blocks, "skip": skip} for blocks in (2, 4, 6, 12) for skip in (False, True)
    ),
)
