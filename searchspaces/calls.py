"""Call `prepare` and `restore` of a space, which are code of the user, and check their results."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from searchspaces.space import SearchSpace
from searchspaces.user_code import user_code
from trainables.errors import TaskError, UnreadableError, UserError
from trainables.ground_truth import check_ground_truth
from trainables.metrics import describe_value
from trainables.predictions import find_line, to_array
from trainables.predictor import GroundTruth, Predictor
from trainables.run import Run
from trainables.terminal import share_streams


def prepare_data(space: SearchSpace[Any], config: Any, run: Run) -> GroundTruth:
    """Bring the data to this machine and return their targets; without `prepare`, there are none.

    Raises TaskError, with file and line, for what `prepare` raises, or returns but a GroundTruth
    with a target per example; its UserErrors, such as of missing data, and a full disk stay as
    they are.
    """
    if space.prepare is None:
        return GroundTruth(source=run.source)
    with share_streams(), user_code(f"prepare of {space.name}", space.source_file, TaskError):
        truth = space.prepare(config, run)
    if not isinstance(truth, GroundTruth):
        raise TaskError(_describe_result(space, "prepare", truth, GroundTruth))
    return check_ground_truth(truth, f"prepare of {space.name}", find_line(space.prepare))


def check_data_dir(space: SearchSpace[Any], data_dir: Path | None) -> None:
    """Raise UserError for a --data-dir that a space would not read."""
    if data_dir is not None and not space.reads_data:
        raise UserError(
            f"--data-dir {data_dir}: {space.name} reads no folder, its data come with a library\n"
            "leave out --data-dir"
        )


def restore_predictor(space: SearchSpace[Any], config: Any, folder: Path) -> Predictor:
    """Load the trained model in the folder of a checkpoint; the space must have a `restore`.

    Raises UnreadableError, with file and line, for what `restore` raises, since the files may be
    the reason, and TaskError for what it returns but a Predictor with an example; its UserErrors
    stay as they are. The example and what the model predicts are arrays, whatever they were.
    """
    assert space.restore is not None
    with (
        share_streams(),
        user_code(f"restore of {space.name}", space.source_file, UnreadableError),
    ):
        model = space.restore(config, folder)
    if not isinstance(model, Predictor):
        raise TaskError(_describe_result(space, "restore", model, Predictor))
    example = model.example
    with contextlib.suppress(ValueError, RuntimeError):  # rows of several lengths, a sparse tensor
        if isinstance(example, torch.Tensor | list | tuple):
            example = to_array(example)
    if not (isinstance(example, np.ndarray) and example.ndim and len(example)):
        raise TaskError(
            f"restore of {space.name} returned a Predictor whose example is "
            f"{describe_value(example)}{find_line(space.restore)}\n"
            "give an array with a row for one raw input"
        )
    if example.dtype.kind == "U":  # texts of any length: inputs get the dtype of the example
        example = example.astype(object)
    predict = model.predict
    return replace(model, example=example, predict=lambda inputs: to_array(predict(inputs)))


def _describe_result(space: SearchSpace[Any], name: str, result: Any, kind: type) -> str:
    where = find_line(getattr(space, name)) or f" ({space.source_file})"
    found = "None" if result is None else f"a {type(result).__name__}"
    return (
        f"{name} of {space.name} returned {found} instead of a {kind.__name__}{where}\n"
        f"return one (from {kind.__module__} import {kind.__name__}), or leave out {name}="
    )
