"""Is a deeper network better for flowers without pretrained weights and with little training?

Plain CNNs of 3, 5 and 7 convolutions and DenseNet-169 with its 169 layers, all from scratch, 5
epochs. Published is a ranking, without numbers: 5 convolutions beat 3 and 7, and each of them
beats DenseNet-169. How they were trained was not published; here all use Adam at 1e-3 and batches
of 32, as in `flowers_finetune`, and photographs of 128 x 128 pixels.
"""

from searchspaces import PublishedOrder, SearchSpace, Trial, Values
from trainables.tasks import flowers_scratch

NETWORKS = ("convnet3", "convnet5", "convnet7", "densenet169")


def suggest(trial: Trial) -> Values:
    """Search the network; all networks are trained in the same way."""
    return {"network": trial.suggest_categorical("network", list(NETWORKS))}


SPACE = SearchSpace(
    **flowers_scratch.TASK,
    suggest=suggest,
    reports=5,
    compare=("network",),
    arms=tuple({"network": name} for name in NETWORKS),
    published=tuple(
        PublishedOrder({"network": better}, {"network": worse})
        for better, worse in (
            ("convnet5", "convnet3"),
            ("convnet5", "convnet7"),
            *((name, "densenet169") for name in NETWORKS[:3]),
        )
    ),
)
