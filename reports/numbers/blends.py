"""Ways to make one model of many, each fitted on one half of validation, judged on the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from reports.numbers.calibration import apply_temperature, fit_temperature, nll
from reports.numbers.greedy import select_greedily

Array = NDArray[Any]
Weights = NDArray[np.float64]

TOP = 25  # the longest uniform average that is tried


@dataclass(frozen=True)
class Blend:
    """Weights (models,) that sum to 1, and the temperature of each model before averaging."""

    weights: Weights
    temperatures: Weights

    @property
    def members(self) -> list[int]:
        """Models of any weight, the heaviest first, the better first among equals."""
        return [int(i) for i in np.argsort(-self.weights, kind="stable") if self.weights[i] > 0]

    def of(self, models: list[int]) -> "Blend":
        """The same for some of the models alone."""
        return Blend(self.weights[models], self.temperatures[models])


Recipe = Callable[[Array, Array], Blend]  # outputs (models, n, classes), targets (n,)


def select_single(outputs: Array, targets: Array) -> Blend:
    """The model with the fewest errors, the earlier among equals."""
    return _plain(select_greedily(outputs, targets, "accuracy", steps=1).weights)


def fit_uniform(outputs: Array, targets: Array, criterion: str = "nll") -> Blend:
    """The average of the best k models, with the k up to TOP that does best."""
    top = min(TOP, len(outputs))
    return _plain(select_greedily(outputs, targets, criterion, top, top).weights)


def select_by_likelihood(outputs: Array, targets: Array) -> Blend:
    """Greedy selection with replacement, by the likelihood of the average."""
    return _plain(select_greedily(outputs, targets, "nll").weights)


def select_by_accuracy(outputs: Array, targets: Array) -> Blend:
    """Greedy selection with replacement, by the errors of the average or the vote."""
    return _plain(select_greedily(outputs, targets, "accuracy").weights)


def fit_calibrated(outputs: Array, targets: Array) -> Blend:
    """The best k by likelihood, each at the temperature that suits it, k chosen after that."""
    costs = [nll(output, targets) for output in outputs]
    best = np.argsort(costs, kind="stable")[:TOP]
    temperatures = np.ones(len(outputs))
    temperatures[best] = [fit_temperature(outputs[model], targets) for model in best]
    members = np.stack([apply_temperature(outputs[model], temperatures[model]) for model in best])
    weights = np.zeros(len(outputs))
    weights[best] = fit_uniform(members, targets).weights
    return Blend(weights, temperatures)


def average_all(outputs: Array, targets: Array) -> Blend:
    """The average, or the vote, of all models given: there is nothing to fit."""
    return equal_weights(len(outputs))


def equal_weights(models: int) -> Blend:
    """Equal weights."""
    return _plain(np.full(models, 1 / models))


AVERAGES: Mapping[str, Recipe] = {
    "uniform top-k": fit_uniform,
    "greedy by likelihood": select_by_likelihood,
    "greedy by accuracy": select_by_accuracy,
    "calibrated top-k": fit_calibrated,
}
VOTES: Mapping[str, Recipe] = {
    "vote of the top k": lambda outputs, targets: fit_uniform(outputs, targets, "accuracy"),
    "greedy vote": select_by_accuracy,
}


def apply_blend(blend: Blend, outputs: Array) -> Array:
    """The blend's own output, (n, classes)."""
    total = np.zeros(outputs.shape[1:], np.float64)
    for model in blend.members:
        t = blend.temperatures[model]
        total += blend.weights[model] * (
            outputs[model] if t == 1 else apply_temperature(outputs[model], t)
        )
    # Float sums of equal votes differ in the last digit, which must not decide between them.
    return np.round(total, 12)


def split_halves(targets: Array, stratified: bool, seed: int = 0) -> list[tuple[Array, Array]]:
    """(fit, judge) rows, twice: every example is judged once by what was fitted without it."""
    if len(targets) < 4:
        raise ValueError(f"{len(targets)} examples are too few to be halved")
    if stratified and np.unique(targets, return_counts=True)[1].min() > 1:
        folds = StratifiedKFold(2, shuffle=True, random_state=seed).split(targets, targets)
    else:
        folds = KFold(2, shuffle=True, random_state=seed).split(targets)
    return list(folds)


def predict_out_of_fold(
    recipe: Recipe, outputs: Array, targets: Array, folds: list[tuple[Array, Array]]
) -> Array:
    """Outputs (n, classes) of the blends that were fitted without the example in question."""
    result = np.empty(outputs.shape[1:], np.float64)
    for fit, judge in folds:
        blend = recipe(outputs[:, fit], targets[fit])
        result[judge] = apply_blend(blend, outputs[:, judge])
    return result


def _plain(weights: Weights) -> Blend:
    return Blend(weights, np.ones(len(weights)))
