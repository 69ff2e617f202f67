"""Is it better for flowers to train from scratch, the top of a pretrained network, or all of it?

DenseNet-169 and ResNet-18 (any other torchvision classifier with `--set backbone=NAME`), from
scratch, or pretrained on ImageNet with the last layers or all layers trained further; each is
tuned with the same number of trials, from the learning rate that is usual for it on. Published is
the ranking of the losses, all below top below scratch, DenseNet-169 better than ResNet-18, and the
one number below. These used Adam, batches of 32 and 5 epochs, with an evaluation on train and
validation every 40 batches.

So a report is 40 batches here, wherever in an epoch they end: 12 reports are 480 batches, five
epochs of the 2,936 photographs of tf_flowers' training part; with fewer photographs the same
batches are more epochs, and `--reports` sets their number. Where pretrained weights are not
available, the arms that need them fail with a message that says where they were searched; the
others run.
"""

from searchspaces import Published, PublishedOrder, SearchSpace, Trial, Values
from trainables.tasks import finetune

RATES = {"scratch": 1e-3, "top": 1e-3, "all": 1e-4}
"""Adam's learning rate by mode: large steps would destroy the pretrained weights of all layers."""
BACKBONES = ("resnet18", "densenet169")


def suggest(trial: Trial) -> Values:
    """Search the backbone and which layers are trained; the learning rate is a nuisance."""
    mode = trial.suggest_categorical("mode", ["scratch", "top", "all"])
    return {
        "backbone": trial.suggest_categorical("backbone", list(BACKBONES)),
        "mode": mode,
        "unfrozen": trial.suggest_int("unfrozen", 0, 40, step=4) if mode == "top" else 0,
        "learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-2, log=True),
    }


SPACE = SearchSpace(
    **finetune.TASK,
    suggest=suggest,
    reports=12,
    min_reports=2,
    compare=("backbone", "mode"),
    arms=tuple(
        {"backbone": name, "mode": mode, "learning_rate": rate, "unfrozen": 0}
        for name in BACKBONES
        for mode, rate in RATES.items()
    ),
    tune_arms=6,
    published=(
        Published(
            "DenseNet-169, top layers alone",
            0.923,
            "test accuracy",
            of={"backbone": "densenet169", "mode": "top"},
        ),
        PublishedOrder({"backbone": "densenet169"}, {"backbone": "resnet18"}, "by loss"),
        PublishedOrder({"mode": "all"}, {"mode": "top"}, "by loss"),
        PublishedOrder({"mode": "top"}, {"mode": "scratch"}, "by loss"),
    ),
)
