"""How accurately does a network pretrained on millions of photographs classify indoor scenes?

MIT Indoor-67, or your own photographs: `--data-dir my_photos`, a folder with a folder per class.
A torchvision classifier with pretrained weights and a new head, of which the head and the last
layers are trained. The weights of ImageNet come from torchvision's server, or with
`--weights-dir FOLDER` from a folder; those of Places365 (`--set origin=places365`) only from a
folder. With `--set origin=none` all layers are trained from scratch.
"""

from searchspaces import Published, SearchSpace, Trial, Values
from trainables.data.mit67 import MIT67
from trainables.tasks import photo_transfer


def suggest(trial: Trial) -> Values:
    """Search the backbone, how many of its layers are trained, the head and the optimization."""
    return {
        "backbone": trial.suggest_categorical(
            "backbone", ["resnet18", "resnet50", "densenet169", "efficientnet_b0", "convnext_tiny"]
        ),
        "unfrozen": trial.suggest_int("unfrozen", 0, 40, step=4),
        "hidden": trial.suggest_categorical("hidden", [0, 256, 512]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
    }


SPACE = SearchSpace(
    **photo_transfer.task(MIT67, photo_transfer.Config),
    suggest=suggest,
    reports=15,
    min_reports=2,
    trials=30,
    compare=("backbone", "unfrozen"),
    published=(
        Published("ResNet-50 pretrained on Places365", 83.02, "accuracy, %", "split not stated"),
    ),
)
