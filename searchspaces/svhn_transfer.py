"""How many layers of a model of the digits 1 to 8 must be retrained to classify 0 and 9?

A small CNN is trained on the other eight digits for 10 epochs, once per machine; then its last
layer, or more of its four, are trained on 200 images of the two new ones. Reports are of several
epochs each: 5 x 4 for the published last layer, 5 x 5 for more layers. Validation and test are
the zeros and nines of SVHN's. `--teacher` names another source model, which must not have been
trained on either digit.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from searchspaces.loading import load_teacher
from trainables.tasks import transfer
from trainables.tasks.transfer import LAYERS


def suggest(trial: Trial) -> Values:
    """Search how many layers are trained, how fast and how long."""
    return {
        "unfrozen": trial.suggest_int("unfrozen", 1, LAYERS),
        "learning_rate": trial.suggest_float("learning_rate", 1e-4, 1e-2, log=True),
        "epochs": trial.suggest_int("epochs", 1, 10),
    }


SPACE = SearchSpace(
    **transfer.task(load_teacher),
    suggest=suggest,
    reports=5,
    min_reports=3,
    trials=40,
    compare=("unfrozen",),
    initial_configs=tuple({"unfrozen": layers, "epochs": 5} for layers in range(2, LAYERS + 1)),
    teacher_defaults={},
    published=(
        Published("last layer only, 20 epochs", 94.4, "test accuracy, %", of={"unfrozen": 1}),
        Published("more layers, 25 epochs", 93.1, "test accuracy, %", "at most"),
    ),
)
