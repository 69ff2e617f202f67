"""The one-vs-rest solver compared with scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier

from trainables.models.logistic import fit_one_vs_rest


@pytest.mark.parametrize("C", [1e-3, 0.1])
def test_weights_agree_with_scikit_learn(C: float) -> None:  # noqa: N803
    draw = np.random.default_rng(0)
    scales = np.geomspace(0.03, 3, 20)
    vectors = (draw.standard_normal((400, 20)) * scales + 0.5).astype(np.float32)
    noisy = vectors @ draw.standard_normal((20, 3)) + 2 * draw.standard_normal((400, 3))
    labels = noisy.argmax(1)
    weights, intercepts = fit_one_vs_rest(vectors, labels, C)
    exact = LogisticRegression(C=C, tol=1e-6, max_iter=2000)
    reference = OneVsRestClassifier(exact).fit(vectors.astype(float), labels)
    parts = reference.estimators_
    largest = max(np.abs(part.coef_).max() for part in parts)
    for part, found, intercept in zip(parts, weights, intercepts, strict=True):
        np.testing.assert_allclose(found, part.coef_[0], atol=0.02 * largest)
        np.testing.assert_allclose(intercept, part.intercept_[0], atol=0.02 * max(1, largest))
