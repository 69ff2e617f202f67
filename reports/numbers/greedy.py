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
ROUNDING = 1e-5  # nats per example, or share of errors: float32 outputs differ by less
INITIAL = 5
BLOCK = 2**22  # numbers processed at once: 16 MB, so that a block fits the CPU cache


@dataclass(frozen=True)
class Selection:
    """Models in the order of their selection, up to the best prefix."""

    selected: tuple[int, ...]
    costs: tuple[float, ...]  # of every prefix, also of those beyond the best one
    models: int  # to select from

    @property
    def weights(self) -> NDArray[np.float64]:
        """Return the share of every model among the selected ones, (models,)."""
        return np.bincount(self.selected, minlength=self.models) / len(self.selected)


def select_greedily(
    outputs: Array,
    targets: Array,
    criterion: str = "nll",
    steps: int = STEPS,
    initial: int = INITIAL,
) -> Selection:
    """Select models one by one, each the best addition to the average of those before.

    outputs (models, n, classes), targets (n,). The first `initial` are the best single models.
    Ties go to a model that is already selected, then to the better single model. The result is
    cut at the shortest prefix that is as good as the best one: a copy of a member adds nothing
    but rounding. criterion: `nll`, or `accuracy`, whose cost is the error rate. With
    `initial` equal to `steps` this is the best uniform average of the top k. Raises ValueError
    for another criterion or without models or examples.
    """
    if criterion not in ("nll", "accuracy"):
        raise ValueError(f"criterion {criterion!r} is neither nll nor accuracy")
    if len(outputs) == 0 or len(targets) == 0:
        raise ValueError(f"no models or no examples to select from: outputs {outputs.shape}")
    blank = np.zeros(outputs.shape[1:], outputs.dtype)
    if criterion == "nll":
        # The likelihood depends on the probability of the target class only.
        outputs = outputs[:, np.arange(len(targets)), targets]
        blank = blank[:, 0]
        costs = _cost_by_likelihood(outputs)
    else:
        costs = _cost_by_errors(outputs, targets)
    alone = costs(blank, 1)
    ranks = np.argsort(np.argsort(alone, kind="stable"), kind="stable")
    total, selected, prefixes = blank, list[int](), list[float]()
    for step in range(steps):
        extended = alone if step == 0 else costs(total, step + 1)
        if step < min(initial, len(outputs)):
            best = int(np.flatnonzero(ranks == step)[0])
        else:
            ties = np.flatnonzero(extended == extended.min())
            best = int(min(ties, key=lambda model: (model not in selected, ranks[model])))
        selected.append(best)
        prefixes.append(float(extended[best]))
        total = total + outputs[best]
    length = int(np.argmax(np.array(prefixes) <= min(prefixes) + ROUNDING)) + 1
    return Selection(tuple(selected[:length]), tuple(prefixes), len(outputs))


def _cost_by_likelihood(likelihoods: Array) -> Costs:
    # likelihoods (models, n): the probability of the target; cost in nats per example.
    def costs(total: Array, count: int) -> NDArray[np.float64]:
        result = np.empty(len(likelihoods))
        smallest = likelihoods.dtype.type(SMALLEST * count)
        for part in _split_blocks(*likelihoods.shape):
            block = likelihoods[part] + total
            np.log(np.maximum(block, smallest, out=block), out=block)
            result[part] = math.log(count) - block.mean(axis=1)
        return result

    return costs


def _cost_by_errors(outputs: Array, targets: Array) -> Costs:
    models, n, classes = outputs.shape
    # One more model changes the margin of the target by at most this.
    reach = float(outputs.max() - outputs.min()) * 1.001 + 1e-6

    def costs(total: Array, count: int) -> NDArray[np.float64]:
        margin = _find_margin(total, targets)
        open_rows = np.flatnonzero(np.abs(margin) <= reach)
        settled = int((margin < -reach).sum())
        right, here = targets[open_rows], total[open_rows]
        result = np.empty(models)
        for part in _split_blocks(models, max(1, len(open_rows)) * classes):
            block = outputs[part] if len(open_rows) == n else outputs[part][:, open_rows]
            wrong = (block + here).argmax(axis=2) != right
            result[part] = settled + wrong.sum(axis=1)
        return np.asarray(result / n)

    return costs


def _find_margin(total: Array, targets: Array) -> Array:
    # A target of -1 (an answer that no model gives) never wins.
    rows = np.arange(len(targets))
    others = total.copy()
    others[rows, targets] = -np.inf
    margin = total[rows, targets] - others.max(axis=1)
    return np.where(targets < 0, -np.inf, margin)


def _split_blocks(models: int, each: int) -> list[slice]:
    size = max(1, BLOCK // each)
    return [slice(start, start + size) for start in range(0, models, size)]
