"""Do rotation and solarization help a small CNN to classify house numbers?

The published baseline (a small CNN, Adam at 1e-3, batches of 256, 5 epochs) with and without
rotated and partly inverted images. The publication does not say how strong its augmentation is;
here angles are up to 15 degrees, and every second image is inverted where it is bright.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.tasks import svhn_baseline

PLAIN = {"rotation": 0.0, "solarize": 0.0}
AUGMENTED = {"rotation": 15.0, "solarize": 0.5}


def suggest(trial: Trial) -> Values:
    """Search the strength of both; trials beyond the arms try other strengths."""
    return {
        "rotation": trial.suggest_float("rotation", 0.0, 30.0),
        "solarize": trial.suggest_float("solarize", 0.0, 1.0),
    }


SPACE = SearchSpace(
    **svhn_baseline.TASK,
    suggest=suggest,
    reports=5,
    compare=("rotation", "solarize"),
    arms=(PLAIN, AUGMENTED),
    published=(
        Published("no augmentation", 86.16, "test accuracy, %", of=PLAIN),
        Published("rotation and solarize", 81.67, "test accuracy, %", of=AUGMENTED),
    ),
)
