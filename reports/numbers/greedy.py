"""Greedy selection of an ensemble with replacement (Caruana et al., 2004)."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.calibration import SMALLEST

Array = NDArray[Any]
Costs = Callable[[Array, int], NDArray[np.float64]]

STEPS = 50
INITIAL = 5
BLOCK = 2**22  # numbers worked on at once: 16 MB, so that a block stays near the processor


@dataclass(frozen=True)
class Selection:
    """Models in the order they were taken, and the cost of every prefix, in full length."""

    taken: tuple[int, ...]  # up to the best prefix
    costs: tuple[float, ...]
    models: int

    @property
    def weights(self) -> NDArray[np.float64]:
        return np.bincount(self.taken, minlength=self.models) / len(self.taken)


def select_greedily(
    outputs: Array,
    targets: Array,
    criterion: str = "nll",
    steps: int = STEPS,
    initial: int = INITIAL,
) -> Selection:
    """Take one model after the other, each the best addition to the average of those before.

    outputs (models, n, classes), targets (n,). The first `initial` are the best by themselves;
    among equals a model already taken goes first, then the better one; cut at the best prefix.
    criterion: `nll`, or `accuracy`, whose cost is the share of errors. With `initial` equal to
    `steps` this is the best uniform average of the top k. Raises ValueError for others.
    """
    if criterion not in ("nll", "accuracy"):
        raise ValueError(f"the criterion is nll or accuracy, not {criterion!r}")
    if len(outputs) == 0 or len(targets) == 0:
        raise ValueError(f"nothing to select from: outputs {outputs.shape}")
    blank = np.zeros(outputs.shape[1:], outputs.dtype)
    if criterion == "nll":
        # The likelihood sees of all classes the target's alone.
        outputs = outputs[:, np.arange(len(targets)), targets]
        blank = blank[:, 0]
        costs = _likelihood(outputs)
    else:
        costs = _errors(outputs, targets)
    alone = costs(blank, 1)
    ranks = np.argsort(np.argsort(alone, kind="stable"), kind="stable")
    total, taken, prefixes = blank, list[int](), list[float]()
    for step in range(steps):
        found = alone if step == 0 else costs(total, step + 1)
        if step < min(initial, len(outputs)):
            best = int(np.flatnonzero(ranks == step)[0])
        else:
            equal = np.flatnonzero(found == found.min())
            best = int(min(equal, key=lambda model: (model not in taken, ranks[model])))
        taken.append(best)
        prefixes.append(float(found[best]))
        total = total + outputs[best]
    length = int(np.argmin(prefixes)) + 1
    return Selection(tuple(taken[:length]), tuple(prefixes), len(outputs))


def _likelihood(found: Array) -> Costs:
    # found (models, n): the probability of what happened; cost in nats per example.
    def costs(total: Array, count: int) -> NDArray[np.float64]:
        result = np.empty(len(found))
        least = found.dtype.type(SMALLEST * count)
        for part in _blocks(*found.shape):
            block = found[part] + total
            np.log(np.maximum(block, least, out=block), out=block)
            result[part] = math.log(count) - block.mean(axis=1)
        return result

    return costs


def _errors(outputs: Array, targets: Array) -> Costs:
    models, n, classes = outputs.shape
    # One more model moves the lead of the target by no more than this.
    reach = float(outputs.max() - outputs.min()) * 1.001 + 1e-6

    def costs(total: Array, count: int) -> NDArray[np.float64]:
        lead = _lead(total, targets)
        open_rows = np.flatnonzero(np.abs(lead) <= reach)
        settled = int((lead < -reach).sum())
        right, here = targets[open_rows], total[open_rows]
        result = np.empty(models)
        for part in _blocks(models, max(1, len(open_rows)) * classes):
            block = outputs[part] if len(open_rows) == n else outputs[part][:, open_rows]
            wrong = (block + here).argmax(axis=2) != right
            result[part] = settled + wrong.sum(axis=1)
        return np.asarray(result / n)

    return costs


def _lead(total: Array, targets: Array) -> Array:
    # A target of -1 (an answer that no model gives) is never in the lead.
    rows = np.arange(len(targets))
    others = total.copy()
    others[rows, targets] = -np.inf
    lead = total[rows, targets] - others.max(axis=1)
    return np.where(targets < 0, -np.inf, lead)


def _blocks(models: int, each: int) -> list[slice]:
    size = max(1, BLOCK // each)
    return [slice(start, start + size) for start in range(0, models, size)]
