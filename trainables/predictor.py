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
"""Class probabilities (n, classes) or answers (n,) of the model as it is when called."""


@dataclass(frozen=True)
class GroundTruth:
    """What a report must know of a data set: the right answers, and what was looked at.

    `targets` holds an integer label (or an answer) per example of each split; an example's id
    is its place in it. Row i of a kept prediction belongs to target i. `inputs`, where there is
    one, gives the raw inputs of a split as they go into a `Predictor`, in the same order.
    `groups` names a part of the data per example of a split: a report scores the parts apart.
    """

    fingerprint: str = ""
    source: DataKind = "real"
    classes: tuple[str, ...] = ()
    targets: Mapping[str, np.ndarray] = field(default_factory=dict)
    inputs: Callable[[str], np.ndarray] | None = None
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Predictor:
    """A trained model with its preprocessing; `example` is a batch of one raw input.

    Called with a batch like it, gives probabilities (n, classes), columns in the order of
    `classes`, or answers (n,). `network`, where there is one, is the differentiable module from
    a batch of raw inputs (of images: pixels in 0..255, uint8 or float) to logits. `write` goes
    on after a prompt: it takes `length`, `temperature`, `top_k` and `seed`. `files` are what it
    needs beside its checkpoint, by the hyperparameter whose value is a folder of them.
    """

    predict: Callable[[np.ndarray], np.ndarray]
    example: np.ndarray
    classes: tuple[str, ...] = ()
    network: torch.nn.Module | None = None
    write: Callable[..., str] | None = None
    files: Mapping[str, tuple[Path, ...]] = field(default_factory=dict)

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        return self.predict(inputs)
