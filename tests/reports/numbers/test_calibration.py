"""Likelihood and temperature against hand-computed and fitted references."""

import math

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from reports.numbers.calibration import (
    apply_temperature,
    fit_temperature,
    nll,
    nll_per_example,
)


def draw_targets(n: int, heat: float) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities whose logits are scaled by `heat`, and targets drawn without that."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 1.5, (n, 4))
    true = softmax(logits, axis=1)
    targets = (true.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return softmax(heat * logits, axis=1), targets


def test_likelihood_is_that_of_sklearn_and_never_infinite() -> None:
    probabilities, targets = draw_targets(200, 1.5)
    assert nll(probabilities, targets) == pytest.approx(log_loss(targets, probabilities))
    assert nll_per_example(probabilities, targets).mean() == pytest.approx(
        nll(probabilities, targets)
    )
    assert nll(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(12 * math.log(10))


@pytest.mark.parametrize("heat", [0.4, 1.0, 3.0])
def test_the_temperature_of_the_data_is_fitted(heat: float) -> None:
    probabilities, targets = draw_targets(20_000, heat)
    fitted = fit_temperature(probabilities, targets)
    assert fitted == pytest.approx(heat, rel=0.05)


def test_the_temperature_is_that_of_a_logistic_regression() -> None:
    # For two classes the temperature is the inverse slope of a fit without intercept.
    random = np.random.default_rng(2)
    logit = random.normal(0, 3, 500)
    targets = (random.random(500) < 1 / (1 + np.exp(-0.6 * logit))).astype(int)
    one = 1 / (1 + np.exp(-logit))
    fit = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-10)
    slope = fit.fit(logit[:, None], targets).coef_[0, 0]
    fitted = fit_temperature(np.stack([1 - one, one], axis=1), targets)
    assert fitted == pytest.approx(1 / slope, rel=1e-3)


def test_scaling_keeps_the_ranking_and_temperature_1_changes_nothing() -> None:
    probabilities, _ = draw_targets(50, 2.0)
    assert apply_temperature(probabilities, 1.0) == pytest.approx(probabilities)
    softer = apply_temperature(probabilities, 5.0)
    assert (softer.argmax(1) == probabilities.argmax(1)).all()
    assert softer.max() < probabilities.max()
