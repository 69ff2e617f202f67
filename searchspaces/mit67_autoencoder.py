"""Does it help a classifier of indoor scenes if its encoder is pretrained as an autoencoder?

The encoder of `mit67_pyramid`, from scratch or pretrained as an autoencoder on the training
photographs without their labels, then trained as published: Adam at 1e-4, weight decay 1e-3,
label smoothing 0.1, augmentation, early stopping after 6 epochs without improvement. Published,
without numbers: it does not help. The autoencoder is trained once per machine, by the first trial
that needs it; `--teacher` names another model whose encoder to start from, such as a run of
`mit67_pyramid` with the same blocks.
"""

from searchspaces import SearchSpace, Trial, Values
from searchspaces.loading import load_teacher
from trainables.tasks import autoencoder


def suggest(trial: Trial) -> Values:
    """Search the initial weights; all classifiers are trained in the same way."""
    return {"start": trial.suggest_categorical("start", ["scratch", "autoencoder"])}


SPACE = SearchSpace(
    **autoencoder.task(load_teacher),
    suggest=suggest,
    reports=100,
    min_reports=10,
    compare=("start",),
    arms=({"start": "scratch"}, {"start": "autoencoder"}),
    teacher_defaults={"start": "custom"},
)
