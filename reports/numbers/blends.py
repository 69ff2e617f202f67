"""Ways to combine models, each fitted on one half of validation and evaluated on the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.numbers.calibration import apply_temperature, fit_temperature, nll
from reports.numbers.greedy import select_greedily

Array = NDArray[Any]
Weights = NDArray[np.float64]

TOP = 25  # members of the largest uniform average that is tried


@dataclass(frozen=True)
class Blend:
    """Weights (models,) that sum to 1, and the temperature of each model before averaging."""

    weights: Weights
    temperatures: Weights

    @property
    def members(self) -> list[int]:
        """Return models with a weight above 0, largest first; ties in their order."""
        return [int(i) for i in np.argsort(-self.weights, kind="stable") if self.weights[i] > 0]

    def restrict_to(self, models: list[int]) -> "Blend":
        """Return the weights and temperatures of these models only."""
        return Blend(self.weights[models], self.temperatures[models])


Recipe = Callable[[Array, Array], Blend]  # outputs (models, n, classes), targets (n,)


def select_single(outputs: Array, targets: Array) -> Blend:
    """Return the model with the fewest errors, the first one of several."""
    return _weigh(select_greedily(outputs, targets, "accuracy", steps=1).weights)


def fit_uniform(outputs: Array, targets: Array, criterion: str = "nll") -> Blend:
    """Return the average of the best k models, with the best k up to TOP."""
    top = min(TOP, len(outputs))
    return _weigh(select_greedily(outputs, targets, criterion, top, top).weights)


def select_by_likelihood(outputs: Array, targets: Array) -> Blend:
    """Select greedily with replacement, by the likelihood of the average."""
    return _weigh(select_greedily(outputs, targets, "nll").weights)


def select_by_accuracy(outputs: Array, targets: Array) -> Blend:
    """Select greedily with replacement, by the errors of the average or the vote."""
    return _weigh(select_greedily(outputs, targets, "accuracy").weights)


def fit_calibrated(outputs: Array, targets: Array) -> Blend:
    """Return the average of the best k models by likelihood, each at its fitted temperature.

    k is chosen after the temperatures.
    """
    costs = [nll(output, targets) for output in outputs]
    best = np.argsort(costs, kind="stable")[:TOP]
    temperatures = np.ones(len(outputs))
    temperatures[best] = [fit_temperature(outputs[model], targets) for model in best]
    members = np.stack([apply_temperature(outputs[model], temperatures[model]) for model in best])
    weights = np.zeros(len(outputs))
    weights[best] = fit_uniform(members, targets).weights
    return Blend(weights, temperatures)


def average_all(outputs: Array, targets: Array) -> Blend:
    """Return the average, or the vote, of all models: nothing is fitted."""
    return equal_weights(len(outputs))


def equal_weights(models: int) -> Blend:
    """Return a blend with equal weights."""
    return _weigh(np.full(models, 1 / models))


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
    """Return the output of a blend, (n, classes)."""
    total = np.zeros(outputs.shape[1:], np.float64)
    for model in blend.members:
        t = blend.temperatures[model]
        total += blend.weights[model] * (
            outputs[model] if t == 1 else apply_temperature(outputs[model], t)
        )
    # Sums of equal votes differ in the last digit, which must not break ties.
    return np.round(total, 12)


def split_halves(targets: Array, stratified: bool, seed: int = 0) -> list[tuple[Array, Array]]:
    """Return (fit, evaluate) rows of two folds: every example is in one evaluation fold."""
    if len(targets) < 4:
        raise ValueError(
            f"{len(targets)} examples are too few to split into halves; at least 4 are needed"
        )
    from sklearn.model_selection import KFold, StratifiedKFold  # half a second, for this alone

    if stratified and np.unique(targets, return_counts=True)[1].min() > 1:
        folds = StratifiedKFold(2, shuffle=True, random_state=seed).split(targets, targets)
    else:
        folds = KFold(2, shuffle=True, random_state=seed).split(targets)
    return list(folds)


def predict_out_of_fold(
    recipe: Recipe,
    outputs: Array,
    targets: Array,
    folds: list[tuple[Array, Array]],
    calibrate: bool,
) -> Array:
    """Return outputs (n, classes), each of the blend that was fitted without that example.

    With `calibrate` the blend is at the temperature that was fitted with it. Otherwise an
    ensemble of overconfident models gains likelihood over one of them by being softer alone.
    """
    result = np.empty(outputs.shape[1:], np.float64)
    for fit, evaluate in folds:
        blend = recipe(outputs[:, fit], targets[fit])
        output = apply_blend(blend, outputs[:, evaluate])
        if calibrate:
            t = fit_temperature(apply_blend(blend, outputs[:, fit]), targets[fit])
            output = apply_temperature(output, t)
        result[evaluate] = output
    return result


def _weigh(weights: Weights) -> Blend:
    return Blend(weights, np.ones(len(weights)))
