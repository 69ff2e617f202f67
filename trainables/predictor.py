"""A trained model with its preprocessing, and the targets that its predictions belong to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import torch

DataKind = Literal["real", "synthetic", "placeholder"]


Predictions = Callable[[], np.ndarray]
"""Returns class probabilities (n, classes) or answers (n,) of the model as it is when called."""


@dataclass(frozen=True)
class GroundTruth:
    """The targets of a data set, and what else a report needs to know of it.

    `targets` has an integer label (or an answer) per example of each split; the id of an example
    is its index there. Row i of stored predictions belongs to target i. `inputs`, if given,
    returns the raw inputs of a split for a `Predictor`, in the same order. `groups` has the name
    of a group per example of a split: a report scores the groups separately. `is_own` says that
    the data are the user's, with which published results do not compare. `examples`, if given,
    returns the inputs and targets of any split, also of train and of a regression: no search
    stores these. `columns` are those of a table's inputs, by name whether number or category.
    """

    fingerprint: str = ""
    source: DataKind = "real"
    classes: tuple[str, ...] = ()
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Callable[[str], np.ndarray] | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    is_own: bool = False
    examples: Callable[[str], tuple[np.ndarray, np.ndarray]] | None = None
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Expected:
    """What predictions of a split must fit: the number, kind and classes of its targets.

    `kind` is that of their dtype: "i" of whole numbers, "f" of others, "U" of texts. Probabilities
    have a column per class, or for targets without class names at least `columns`.
    """

    examples: int
    kind: str
    classes: tuple[str, ...] = ()
    columns: int = 0


@dataclass(frozen=True)
class Predictor:
    """A trained model with its preprocessing; `example` is a batch of one raw input.

    Called with such a batch, it returns probabilities (n, classes), columns in the order of
    `classes`, or answers (n,). `network`, if given, is the differentiable module from a batch of
    raw inputs (of images: pixels in 0..255, uint8 or float) to logits. `write` continues a prompt:
    it takes `length`, `temperature`, `top_k` and `seed`. `files` are those needed beside the
    checkpoint, by the hyperparameter whose value is their folder. `columns` are those of a
    table's rows, by name whether number or category, and `target` is the one that they predict.
    Of an agent, `environment` is what it plays:
    it returns actions (n,) for obs (n, d).
    """

    predict: Callable[[np.ndarray], np.ndarray]
    example: np.ndarray
    classes: tuple[str, ...] = ()
    network: torch.nn.Module | None = None
    write: Callable[..., str] | None = None
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    environment: str = ""

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return self.predict(inputs)
