"""The models that an ensemble can be made of: their outputs on one split, best model first."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.read.predictions import Examples, Predictions, read_predictions
from reports.read.records import Tracker
from reports.records import Search, TrialRecord

Array = NDArray[Any]

LARGEST = 1000  # models
BYTES = 2**30  # of outputs; a selection needs about twice as much


@dataclass(frozen=True)
class Library:
    """Outputs (models, n, classes) float32 and targets (n,) of the same examples.

    Where models give answers (`votes`), the classes of an example are the answers given to it,
    the best model's first, an output is 1 for its answer, and a target that nobody gives is -1.
    """

    runs: tuple[TrialRecord, ...]
    outputs: Array
    targets: NDArray[np.int64]
    has_answers: bool

    def part(self, models: Sequence[int]) -> "Library":
        """Some of the models."""
        runs = tuple(self.runs[model] for model in models)
        return Library(runs, self.outputs[list(models)], self.targets, self.has_answers)


def read_library(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord], examples: Examples
) -> Library | None:
    """The best of these runs, given best first, as many as memory allows; None without any."""
    runs = runs[:LARGEST]
    for start in range(len(runs)):
        first = read_predictions(tracker, search, runs[start : start + 1], examples)
        if first.runs:
            limit = max(2, BYTES // (4 * max(1, first.outputs[0].size)))
            found = read_predictions(tracker, search, runs[start : start + limit], examples)
            return build_library(found)
    return None


def build_library(predicted: Predictions) -> Library:
    """What was read, as arrays; of answers so many of the best models as memory allows."""
    targets = predicted.examples.targets
    if not predicted.has_answers:
        outputs = np.stack(predicted.outputs).astype(np.float32, copy=False)
        return Library(predicted.runs, outputs, targets, False)
    models = len(predicted.runs)
    while True:
        codes, coded_targets, classes = _coded(predicted.outputs[:models], targets)
        if codes.size * classes * 4 <= BYTES or models <= 2:
            break
        models //= 2
    outputs = (codes[:, :, None] == np.arange(classes)).astype(np.float32)
    return Library(predicted.runs[:models], outputs, coded_targets, True)


def _coded(
    answers: Sequence[Array], targets: Array
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    # Per example: 0 for the first model's answer, 1 for the next that differs, and so on.
    models, n = len(answers), len(targets)
    flat = np.concatenate([*answers, targets])
    words = np.unique(flat.astype(str) if flat.dtype == object else flat, return_inverse=True)[1]
    pairs = np.tile(np.arange(n), models + 1) * (words.max() + 1) + words
    _, first, inverse = np.unique(pairs, return_index=True, return_inverse=True)
    by_example = np.lexsort((first, first % n))
    starts = np.searchsorted((first % n)[by_example], np.arange(n))
    code = np.empty(len(first), dtype=np.int64)
    code[by_example] = np.arange(len(first)) - starts[(first % n)[by_example]]
    table = code[inverse].reshape(models + 1, n)
    # The targets came last: what they alone say comes after all codes that models have.
    unseen = first[inverse].reshape(models + 1, n)[-1] >= models * n
    found = np.where(unseen, -1, table[-1])
    return table[:-1], found, int(table[:-1].max()) + 1
