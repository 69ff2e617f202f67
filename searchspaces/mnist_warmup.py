"""Can a network with fewer parameters than training images be better than one with more?

A perceptron and three convolutional networks with skip connections, which differ in their
filters, on MNIST. The published table has the perceptron, CNN1 and CNN2 (0.93, 0.17 and 0.68
million parameters) and describes CNN1 as having fewer parameters than samples. But MNIST has
60,000 training images, fewer than CNN1 has parameters, so CNN0 is added to answer the question:
16 filters, 43,000 parameters, and 54,000 images to train on. All are trained in the same way; how
the published ones were trained is not known.
"""

from typing import get_args

from searchspaces import SearchSpace, Trial, Values
from trainables.tasks import mnist_models
from trainables.tasks.mnist_models import Model


def suggest(trial: Trial) -> Values:
    """Search the model only."""
    return {"model": trial.suggest_categorical("model", get_args(Model))}


SPACE = SearchSpace(
    **mnist_models.TASK,
    suggest=suggest,
    reports=5,
    compare=("model",),
    arms=tuple({"model": model} for model in get_args(Model)),
)
