"""Classifiers of photographs, whose classes are those of the folder that they were trained on.

The classes' names travel inside the checkpoint: a trained model must be able to say them where
the photographs are not.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from trainables import checkpoint
from trainables.data import photos
from trainables.data.images import ImageData
from trainables.data.source import Source
from trainables.errors import UserError
from trainables.models.backbones import Origin, build_backbone, check_size, unfreeze_last
from trainables.predictor import Predictor
from trainables.run import Run
from trainables.vision.classification import restored


class Labels(nn.Module):
    """The end of a classifier: logits stay as they are, and their names are saved with it."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self.names = tuple(names)

    def forward(self, logits: Tensor) -> Tensor:
        return logits

    # What these two give and take, a checkpoint writes as JSON beside the tensors.
    def get_extra_state(self) -> list[str]:
        return list(self.names)

    def set_extra_state(self, state: Any) -> None:
        self.names = tuple(state)


def labelled(network: nn.Module, classes: Sequence[str]) -> nn.Sequential:
    """Give a classifier that remembers what its classes are called."""
    return nn.Sequential(network, Labels(classes))


def images(source: Source, run: Run, size: int) -> ImageData:
    """Load photographs for a run as size x size images."""
    return photos.load(
        source,
        folder=run.data,
        cache=run.cache,
        size=size,
        kind=run.source,
        download=run.download,
    )


def restored_labelled(build: Callable[[int], nn.Module], size: int, folder: Path) -> Predictor:
    """Fill what `build` makes for a number of classes from a checkpoint of a `labelled` one.

    The Predictor takes (n, 3, size, size) uint8 pixels and gives probabilities.
    """
    classes = _classes(folder)
    return restored(labelled(build(len(classes)), classes), (3, size, size), classes, folder)


def _classes(folder: Path) -> tuple[str, ...]:
    if (found := checkpoint.read(folder)) is None:
        raise UserError(f"no complete checkpoint in {folder}")
    state = found[1]["parts"]["model"]
    names = next((state[key] for key in state if key.endswith("_extra_state")), None)
    if names is None:
        raise UserError(f"the model in {folder} does not say what its classes are called")
    return tuple(names)


def pretrained(
    name: str,
    classes: int,
    run: Run | None,
    *,
    size: int,
    origin: Origin,
    unfrozen: int | None,
    hidden: int = 0,
    dropout: float = 0.0,
    alternative: str,
) -> nn.Module:
    """Build a backbone for a run: its new head and the body's last `unfrozen` layers learn.

    With None, or where nothing is pretrained, all layers learn. Without a run, which is to be
    filled from a checkpoint, on made-up data and in a probe the weights are random, whatever the
    origin: none of them needs any. `alternative` completes the error message with what to do without the weights. Raises
    UserError where these cannot be had, or the network takes no images of size x size.
    """
    real = run is not None and run.source == "real" and run.share == 1
    model = build_backbone(
        name,
        classes,
        origin if real else "none",
        run.weights if run else None,
        hidden=hidden,
        dropout=dropout,
        download=run is not None and run.download,
        alternative=alternative,
    )
    if run is not None:
        check_size(model, size)
    head = 2 if hidden > 0 else 1
    unfreeze_last(model, None if origin == "none" or unfrozen is None else head + unfrozen)
    return model
