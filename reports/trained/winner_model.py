"""Restore the winner and load its data, for the chapters that predict with it again."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.statistics import sample_evenly
from reports.read.opened_test import OpenedTest
from reports.read.predictions import read_examples
from reports.read.records import Tracker
from reports.records import Search, TrialRecord
from reports.trained import models
from reports.trained.crops import Pixels, is_image_classifier
from reports.trained.restoring import find_space, restore_run, select_run
from trainables.errors import UserError


@dataclass(frozen=True)
class WinnerModel:
    """A restored model, and the images and targets of every split, in the order of their ids."""

    run: TrialRecord
    predictor: Any
    inputs: Callable[[str], Pixels]
    targets: Callable[[str], NDArray[np.int64]]

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the classes."""
        return tuple(self.predictor.classes)

    def sample(self, split: str, most: int) -> tuple[Pixels, NDArray[np.int64]]:
        """Return at most so many images of a split and their targets, evenly spaced."""
        targets = self.targets(split)
        rows = np.array(sample_evenly(range(len(targets)), most))
        return self.inputs(split)[rows], targets[rows]


def restore_winner(
    tracker: Tracker,
    search: Search,
    space: str | None,
    folder: Path | None,
    changed_code: bool = False,
) -> WinnerModel:
    """Restore the winner and load its data; raises UserError before the test set is opened."""
    run = select_run(search, None)
    where = find_space(search, space, changed_code)
    predictor = restore_run(tracker, search, run, where)
    if not is_image_classifier(predictor) or predictor.network is None:
        raise UserError(
            f"The models of {search.name} are not image classifiers with a network to explain: "
            "leave out --explain and --robust."
        )
    data = models.load_data(where, run.params, search, folder)
    if data.inputs is None:
        raise UserError(f"The `prepare` of the space {search.space} returns no inputs.")
    inputs = data.inputs

    def targets(split: str) -> NDArray[np.int64]:
        found = np.asarray(data.targets[split])
        examples = read_examples(tracker, search, split)
        if examples is None or not np.array_equal(examples.targets, found):
            raise UserError(
                f"The {split} targets of these data differ from those of {search.name}."
            )
        return found

    targets("validation")
    return WinnerModel(run, predictor, inputs, targets)


def find_open_split(test: OpenedTest) -> str:
    """Return the split to evaluate on: test where it is open for the winner, else validation."""
    return "test" if test.accuracy is not None else "validation"
