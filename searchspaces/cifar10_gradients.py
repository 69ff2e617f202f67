"""Do skip connections work because they prevent vanishing gradients in deep networks?

The networks of `cifar10_depth`, without and with skips, and the mean absolute gradient of the
last layer's weight over the first 150 batches: a report is the mean of five of them. Published,
without numbers: at every depth (10, 20, 25 and 50 layers) the gradients approach zero without
skips, and with skips they do not.

A block has two convolutions, and stem and head are layers, too. So 20 layers have a block more in
the first stage than in the second, and 25 layers a second convolution in the stem. The score of a
trial is its smallest gradient, so the row that the report calls best has the gradients that
vanish most.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import gradients


def suggest(trial: Trial) -> Values:
    """Search depth and skips; all networks are trained in the same way."""
    return {
        "depth": trial.suggest_int("depth", 6, 50),
        "skip": trial.suggest_categorical("skip", [False, True]),
    }


SPACE = SearchSpace(
    **gradients.TASK,
    suggest=suggest,
    reports=30,
    compare=("depth", "skip"),
    arms=tuple(
        {"depth": depth, "skip": skip} for depth in (10, 20, 25, 50) for skip in (False, True)
    ),
)
