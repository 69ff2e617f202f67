"""How much do 531,131 extra, easier digits help a small CNN to classify house numbers?

The published baseline (a small CNN, Adam at 1e-3, batches of 256, 5 epochs) on the training set,
and on the training and extra set together; both are evaluated on the same validation images. With
the extra set an epoch is eight times as long, so more data also means more updates.
"""

from dataclasses import replace

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.data.source import DataMissingError
from trainables.predictor import GroundTruth
from trainables.run import Run
from trainables.tasks import svhn_baseline


def prepare(config: svhn_baseline.Config, run: Run) -> GroundTruth:
    """Load the extra digits too, whichever arm is first; raises DataMissingError without them."""
    try:
        return svhn_baseline.prepare(replace(config, extra=True), run)
    except DataMissingError as error:
        raise DataMissingError(
            "svhn_extra needs the extra digits, which are missing (extra.parquet, beside "
            f"train.parquet and test.parquet)\n{error}"
        ) from error


def suggest(trial: Trial) -> Values:
    """Search the use of the extra digits only."""
    return {"extra": trial.suggest_categorical("extra", [False, True])}


SPACE = SearchSpace(
    **(svhn_baseline.TASK | {"prepare": prepare}),
    suggest=suggest,
    reports=5,
    compare=("extra",),
    arms=({"extra": False}, {"extra": True}),
    published=(
        Published("training set", 86.16, "test accuracy, %", of={"extra": False}),
        Published("training and extra set", 88.0, "test accuracy, %", of={"extra": True}),
    ),
)
