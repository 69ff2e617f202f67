"""How far probabilities can be believed: likelihood, calibration error and temperature.

All take probabilities (n, classes) and integer targets (n,).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

Array = NDArray[Any]

SMALLEST = 1e-12  # a probability of 0 for what happens would cost infinitely much
BINS = 15
RANGE = (0.05, 20.0)  # temperatures beyond these mean that a model says nothing, or one thing


def nll(probabilities: Array, targets: Array) -> float:
    """Mean negative log-likelihood of the targets, in nats."""
    return float(nll_per_example(probabilities, targets).mean())


def nll_per_example(probabilities: Array, targets: Array) -> NDArray[np.float64]:
    """Negative log-likelihood per example, (n,), in nats."""
    found = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return np.asarray(-np.log(np.maximum(found, SMALLEST)))


def ece(probabilities: Array, targets: Array, bins: int = BINS) -> float:
    """Expected calibration error: mean gap of confidence and accuracy over equal-width bins.

    Naeini et al. (2015), with the bins of Guo et al. (2017): open to the left.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == targets
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(place, confidence - correct, bins)
    return float(np.abs(gaps).sum() / len(targets))


def fit_temperature(probabilities: Array, targets: Array) -> float:
    """The temperature that minimises the negative log-likelihood (Guo et al., 2017)."""
    logits = _logits(probabilities)

    def cost(log_temperature: float) -> float:
        return nll(softmax(logits / math.exp(log_temperature), axis=1), targets)

    # Convex in 1 / T, so of one minimum in log T: a bounded search cannot miss it.
    ends = (math.log(RANGE[0]), math.log(RANGE[1]))
    found = minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-4})
    return math.exp(found.x)


def apply_temperature(probabilities: Array, temperature: float) -> Array:
    """Probabilities at another temperature: above 1 softer, below 1 sharper."""
    return np.asarray(softmax(_logits(probabilities) / temperature, axis=1))


def _logits(probabilities: Array) -> Array:
    # Up to a constant per example, which a softmax does not see.
    return np.log(np.maximum(probabilities, SMALLEST))
