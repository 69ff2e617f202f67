"""Quality of predicted probabilities: likelihood and temperature.

All take probabilities (n, classes) and integer targets (n,).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

Array = NDArray[Any]

SMALLEST = 1e-12  # a probability of 0 for the target would have an infinite loss
RANGE = (0.05, 20.0)  # of temperatures; beyond it outputs are uniform or one-hot


def nll(probabilities: Array, targets: Array) -> float:
    """Return the mean negative log-likelihood of the targets, in nats."""
    return float(nll_per_example(probabilities, targets).mean())


def nll_per_example(probabilities: Array, targets: Array) -> NDArray[np.float64]:
    """Return the negative log-likelihood per example, (n,), in nats."""
    likelihood = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return np.asarray(-np.log(np.maximum(likelihood, SMALLEST)))


def fit_temperature(probabilities: Array, targets: Array) -> float:
    """Return the temperature that minimizes the negative log-likelihood (Guo et al., 2017)."""
    logits = _to_logits(probabilities)

    def cost(log_temperature: float) -> float:
        return nll(softmax(logits / math.exp(log_temperature), axis=1), targets)

    # Convex in 1 / T, so there is one minimum in log T: a bounded search cannot miss it.
    ends = (math.log(RANGE[0]), math.log(RANGE[1]))
    from scipy.optimize import minimize_scalar  # a third of a second of CPU

    result = minimize_scalar(cost, bounds=ends, method="bounded", options={"xatol": 1e-4})
    return math.exp(result.x)


def apply_temperature(probabilities: Array, temperature: float) -> Array:
    """Return probabilities at a temperature: above 1 softer, below 1 sharper."""
    return np.asarray(softmax(_to_logits(probabilities) / temperature, axis=1))


def _to_logits(probabilities: Array) -> Array:
    # Up to a constant per example, which a softmax ignores.
    return np.log(np.maximum(probabilities, SMALLEST))
