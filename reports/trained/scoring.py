"""Score a trained model on the examples of a split, or on all of a data set."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.scores import score_outputs
from reports.numbers.statistics import Interval
from reports.trained.models import GroundTruth, Predictor
from trainables.errors import UserError

Array = NDArray[Any]
SPLITS = ("train", "validation", "test")
NAMED = 8  # classes that a message names


def score_model(model: Predictor, data: GroundTruth, split: str) -> dict[str, Interval]:
    """Return the scores of a model on a split, or on all examples (`all`), by metric.

    Raises UserError for data without examples of the split, or that do not fit the model.
    """
    found = [read_examples(data, name) for name in (SPLITS if split == "all" else (split,))]
    parts = [(match_columns(model, data, inputs), of) for inputs, of in found if len(of)]
    if not parts:
        raise UserError(f"The data have no examples of the split {split!r}.")
    targets = match_classes(model, data, np.concatenate([of for _, of in parts]))
    for inputs, _ in parts:
        if inputs.shape[1:] != model.example.shape[1:]:
            raise UserError(
                f"The data have inputs of shape {inputs.shape[1:]}, and the model takes those of "
                f"{model.example.shape[1:]}."
            )
    outputs = np.concatenate([np.asarray(model(inputs)) for inputs, _ in parts])
    has_classes = bool(model.classes) or outputs.ndim == 2
    if (targets.dtype.kind not in "iu") if has_classes else bool(data.classes):
        kinds = ("classes", "numbers or answers")
        raise UserError(
            "The model predicts {}, and the targets of the data are {}.".format(
                *(kinds if has_classes else kinds[::-1])
            )
        )
    return score_outputs(outputs, targets, is_text=model.write is not None)


def read_examples(data: GroundTruth, split: str) -> tuple[Array, Array]:
    """Return inputs and targets of a split; raises UserError where its space returns none."""
    if data.examples is not None:
        inputs, targets = data.examples(split)
        return np.asarray(inputs), np.asarray(targets)
    if data.inputs is None or split not in data.targets:
        raise UserError(
            f"The space of this model returns no inputs and targets of the split {split!r}.\n"
            "Its `prepare` returns them as `examples` of a GroundTruth: a function from the name "
            "of a split to inputs and targets."
        )
    return np.asarray(data.inputs(split)), np.asarray(data.targets[split])


def match_classes(model: Predictor, data: GroundTruth, targets: Array) -> Array:
    """Return targets (n,) as columns of the model's classes, by their names.

    Raises UserError for data with a class that the model does not know.
    """
    if not model.classes or not data.classes or model.classes == data.classes:
        return targets
    if unknown := [name for name in data.classes if name not in model.classes]:
        missing = list_missing(model, data)
        raise UserError(
            f"The data have classes that the model does not know: {name_some(unknown)}.\n"
            f"It knows {name_some(model.classes)}"
            + (f"; of these the data lack {name_some(missing)}." if missing else ".")
        )
    return np.array([model.classes.index(name) for name in data.classes])[targets]


def list_missing(model: Predictor, data: GroundTruth) -> list[str]:
    """Return the classes of a model that the data lack."""
    return [name for name in model.classes if data.classes and name not in data.classes]


def match_columns(model: Predictor, data: GroundTruth, inputs: Array) -> Array:
    """Return the rows of a table with the columns of the model, in its order, by their names.

    Raises UserError for data without one of them, or where it is of another kind.
    """
    if not model.columns:
        return inputs
    if missing := [name for name in model.columns if name not in data.columns]:
        raise UserError(
            f"The data lack columns of the model: {name_some(missing)}.\n"
            f"They have {name_some([*data.columns])}."
        )
    for name, kind in model.columns.items():
        if data.columns[name] != kind:
            raise UserError(
                f"The column {name!r} is a {kind} for the model, and the data have a "
                f"{data.columns[name]} there."
            )
    places = list(data.columns)
    return inputs[:, [places.index(name) for name in model.columns]]


def name_some(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
