"""What `prepare` of a space returns, checked where it comes in: a target per example."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from trainables.errors import TaskError
from trainables.metrics import describe_value
from trainables.predictions import check_finite, to_array, to_labels
from trainables.predictor import Expected, GroundTruth


def check_ground_truth(truth: GroundTruth, name: str, where: str) -> GroundTruth:
    """Return a ground truth whose targets are arrays (n,) of whole numbers, floats or texts.

    They may be tensors, lists or columns of a table; with `classes` they become indices of these.
    Raises TaskError for others; it says what returned them, its `name`, and `where` that is.
    """
    try:
        return _check(truth)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"{name} returned {error}{where}\n"
            "return a target per example of each split: numbers or texts; with `classes`, their "
            "indices from 0 or their names"
        ) from error


def expect_predictions(truth: GroundTruth) -> dict[str, Expected]:
    """Return, by split, what predictions must fit."""
    found = {}
    for split, targets in truth.targets.items():
        kind = targets.dtype.kind.replace("u", "i")
        # Without names of classes, negative numbers are no columns.
        is_label = kind == "i" and targets.min() >= 0
        columns = int(targets.max()) + 1 if is_label else 0
        found[split] = Expected(len(targets), kind, truth.classes, columns)
    return found


def _check(truth: GroundTruth) -> GroundTruth:
    if not isinstance(truth.fingerprint, str | int | None):
        raise ValueError(f"the fingerprint {describe_value(truth.fingerprint)}, not a text")
    classes: Any = truth.classes
    if isinstance(classes, str):
        raise ValueError(f"classes that are {describe_value(classes)}, not names")
    try:
        names = tuple(str(name) for name in getattr(classes, "tolist", lambda: classes)())
    except TypeError as error:
        raise ValueError(f"classes that are {describe_value(classes)}, not names") from error
    for what, values in (("targets", truth.targets), ("groups", truth.groups)):
        if not isinstance(values, Mapping):
            raise ValueError(f"{what} that are {describe_value(values)}, not a dict by split")
    targets = {split: _check_split(split, of, names) for split, of in truth.targets.items()}
    for split, groups in truth.groups.items():
        if len(groups) != len(targets.get(split, ())):
            raise ValueError(
                f"{len(groups):,} groups of {split!r}, which has {len(targets.get(split, ())):,} "
                "targets"
            )
    fingerprint = "" if truth.fingerprint is None else str(truth.fingerprint)
    return replace(truth, fingerprint=fingerprint, classes=names, targets=targets)


def _check_split(split: Any, values: Any, classes: tuple[str, ...]) -> np.ndarray:
    if not isinstance(split, str) or not re.fullmatch(r"[\w-]+", split):
        raise ValueError(f"targets of a split with the name {describe_value(split)}")
    try:
        array = to_array(values)
        if array.ndim != 1 or not len(array):
            raise ValueError(f"{describe_value(values)} of shape {array.shape}, not (n,)")
        if array.dtype.kind not in "biufU":
            index, odd = next(
                ((i, v) for i, v in enumerate(array.tolist()) if not isinstance(v, int | float)),
                (0, array[0]),
            )
            raise ValueError(f"of {array.dtype}: row {index} is {describe_value(odd)}")
        check_finite(array)
        if classes:
            return to_labels(array, classes)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"targets of {split!r} that are {error}") from error
    return array.astype(np.int64) if array.dtype.kind == "b" else array
