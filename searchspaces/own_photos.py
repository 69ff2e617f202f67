"""Which pretrained network classifies your own photographs best, and how is it fine-tuned?

Your photographs, in a folder with a folder per class: `--data-dir my_photos`. Small torchvision
classifiers with pretrained weights and a new head, of which the head and the last layers are
trained, on images of 224 x 224 pixels, or 128 x 128 without a GPU. The weights come from
torchvision's server, or with `--weights-dir FOLDER` from a folder; with `--set origin=none` all
layers are trained from scratch.
"""

from searchspaces import SearchSpace, Trial, Values
from trainables.data.own import OWN_PHOTOS
from trainables.tasks import photo_transfer


def suggest(trial: Trial) -> Values:
    """Search the backbone, how many of its layers are trained, the head and the optimization."""
    return {
        "backbone": trial.suggest_categorical(
            "backbone", ["resnet18", "mobilenet_v3_small", "efficientnet_b0"]
        ),
        "unfrozen": trial.suggest_int("unfrozen", 0, 40, step=4),
        "hidden": trial.suggest_categorical("hidden", [0, 256]),
        "dropout": trial.suggest_float("dropout", 0.0, 0.5),
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
        "weight_decay": trial.suggest_float("weight_decay", 1e-4, 0.1, log=True),
        "label_smoothing": trial.suggest_float("label_smoothing", 0.0, 0.2),
    }


SPACE = SearchSpace(
    **photo_transfer.task(OWN_PHOTOS, photo_transfer.OwnConfig),
    suggest=suggest,
    reports=8,
    min_reports=2,
    trials=20,
    compare=("backbone", "unfrozen"),
    pinned=("size",),
)
