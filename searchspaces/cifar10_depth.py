"""Does more depth help a convolutional network, with and without skip connections?

An adapter of `filters` channels, two stages of `blocks` blocks of two convolutions, the second
stage twice as wide, mean pooling and a linear head: 4 blocks + 2 layers. The published table has
6, 22 and 30 layers, each without and with skips. How these were trained was not published; here
training is as in a second published comparison, 30 epochs of Adam at 4e-4, with batches of 128.

The second comparison has no numbers: without skips 20 layers beat 56, with skips 20 beat 10. Two
stages make 10 layers (`blocks=2`), but not 20 and 56: the nearest are 18 (`blocks=4`) and 54
(`blocks=13`). Three stages make 6 blocks + 2 layers: `--set stages=3 --set blocks=3` gives 20, and
`--set stages=3 --set blocks=9` gives 56.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.tasks import residual_depth

PUBLISHED = {
    (1, False): 0.7091,
    (1, True): 0.6891,
    (5, False): 0.7418,
    (5, True): 0.7975,
    (7, False): 0.6916,
    (7, True): 0.8034,
}
"""Validation accuracy by blocks per stage and skip."""
NAMES = {1: "SmallCNN", 5: "MediumCNN", 7: "LargeCNN"}


def suggest(trial: Trial) -> Values:
    """Search depth and skips; all networks are trained in the same way."""
    return {
        "blocks": trial.suggest_int("blocks", 1, 13),
        "skip": trial.suggest_categorical("skip", [False, True]),
    }


SPACE = SearchSpace(
    **residual_depth.TASK,
    suggest=suggest,
    reports=30,
    compare=("blocks", "skip"),
    arms=tuple({"blocks": blocks, "skip": skip} for blocks, skip in PUBLISHED),
    published=tuple(
        Published(
            f"{NAMES[blocks]}{' with skips' if skip else ''}, {4 * blocks + 2} layers",
            accuracy,
            "validation accuracy",
            of={"blocks": blocks, "skip": skip},
        )
        for (blocks, skip), accuracy in PUBLISHED.items()
    ),
)
