"""Read the models that an ensemble can consist of: their outputs on one split, best first."""

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
BYTES = 2**30  # of outputs; an ensemble selection needs about twice as much


@dataclass(frozen=True)
class Library:
    """A library of models (Caruana et al., 2004): outputs (models, n, classes) and targets (n,).

    Outputs are float32. Where models predict answers (`has_answers`), the classes of an example
    are the answers that models predict for it, the best model's first. An output is then 1 for
    the predicted answer, and a target that no model predicts is -1.
    """

    runs: tuple[TrialRecord, ...]
    outputs: Array
    targets: NDArray[np.int64]
    has_answers: bool

    def select(self, models: Sequence[int]) -> "Library":
        """Return the library of some of the models."""
        runs = tuple(self.runs[model] for model in models)
        return Library(runs, self.outputs[list(models)], self.targets, self.has_answers)


def read_library(
    tracker: Tracker, search: Search, runs: Sequence[TrialRecord], examples: Examples
) -> Library | None:
    """Return the library of the first runs, as many as fit into memory; None without any."""
    runs = runs[:LARGEST]
    for start in range(len(runs)):
        first = read_predictions(tracker, search, runs[start : start + 1], examples)
        if first.runs:
            limit = max(2, BYTES // (4 * max(1, first.outputs[0].size)))
            found = read_predictions(tracker, search, runs[start : start + limit], examples)
            return build_library(found)
    return None


def build_library(predicted: Predictions) -> Library:
    """Return predictions as a library, of answers as many models as fit into memory."""
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
    # Per example: 0 for the first model's answer, 1 for the next different one, and so on.
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
    # The targets are last: codes that only they have come after all codes of models.
    unpredicted = first[inverse].reshape(models + 1, n)[-1] >= models * n
    coded = np.where(unpredicted, -1, table[-1])
    return table[:-1], coded, int(table[:-1].max()) + 1
