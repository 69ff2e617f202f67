"""Searches: best of k trials, warnings at the ends of ranges, and importances."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import FloatDistribution
from optuna.trial import create_trial

from reports.chapters.budget import median_best
from reports.chapters.hyperparameters.boundary import count_near_edges
from reports.chapters.hyperparameters.importance import evaluate_importances
from reports.read.space import Parameter
from reports.read.winner import choose_winner
from tests.benchmarks.calibration.rates import Rate, Row, Rows, repeat
from tests.support.make_search import make_search, make_trial


def draw_trials(random: np.random.Generator, kind: str, n: int) -> NDArray[np.float64]:
    """Return scores of random trials."""
    if kind == "skewed":
        return np.asarray(1 - np.exp(random.normal(-3, 1, n)))
    if kind == "some fail":
        return np.where(random.random(n) < 0.3, 0.1, random.beta(40, 2, n))
    return np.where(
        random.random(n) < 0.02, random.normal(0.95, 0.005, n), random.normal(0.8, 0.02, n)
    )


def measure_budget_coverage(kind: str, n: int, k: int, experiments: int) -> Rate:
    """Return how often the interval contains the median of the best of k trials."""
    random = np.random.default_rng(0)
    truth = np.median(draw_trials(random, kind, 100_000 * k).reshape(-1, k).max(axis=1))
    covered = []
    for _ in range(experiments):
        low, _, high = median_best(draw_trials(random, kind, n), [k])[:, 0]
        covered.append(bool(low <= truth <= high))
    return Rate(float(np.mean(covered)), experiments)


def measure_edge_warnings(
    parameters: int, trials: int, experiments: int, end: float = 0.0
) -> Rate:
    """Return how often a search warns of an end; the score is noise plus `end` × the first."""
    space = (
        *(Parameter(f"x{i}", 1e-4, 1e-1, log=True) for i in range(parameters - 1)),
        Parameter("depth", 1, 4, whole=True, step=1),
    )

    def is_warned(random: np.random.Generator) -> bool:
        places = random.random((trials, parameters - 1))
        scores = random.normal(0, 1, trials) + end * places[:, 0]
        depths = random.integers(1, 5, trials)
        made = make_search(
            *(
                make_trial(
                    n,
                    float(scores[n]),
                    params={
                        "depth": depths[n],
                        **{f"x{i}": 10 ** (3 * place - 4) for i, place in enumerate(places[n])},
                    },
                )
                for n in range(trials)
            )
        )
        choice = choose_winner(made)
        assert choice is not None
        return any(count_near_edges(space, p, choice, made.trials).warning for p in space)

    return repeat(is_warned, experiments)


def measure_first_importance(trials: int, experiments: int) -> Rate:
    """Return how often the hyperparameter of most of the variance is the first one.

    Scores at the first rung have noise; three more hyperparameters explain 15, 5 and 0 %.
    """
    random, first = np.random.default_rng(0), []
    for _ in range(experiments):
        places = random.random((trials, 4))
        scores = -((places - 0.5) ** 2) @ np.sqrt([0.8, 0.15, 0.05, 0]) + random.normal(
            0, 0.01, trials
        )
        frozen = [
            create_trial(
                params={f"x{i}": float(place) for i, place in enumerate(places[n])},
                distributions={f"x{i}": FloatDistribution(0, 1) for i in range(4)},
                value=float(scores[n]),
            )
            for n in range(trials)
        ]
        first.append(next(iter(evaluate_importances(frozen, "max"))) == "x0")
    return Rate(float(np.mean(first)), experiments)


def simulate(experiments: int) -> Rows:
    """Yield the rows of single searches."""
    for kind in ("skewed", "some fail", "few good"):
        for n, k in ((20, 1), (40, 1), (40, 5), (100, 1), (100, 10)):
            rate = measure_budget_coverage(kind, n, k, experiments)
            setting = f"scores {kind}, best of {k} from {n} trials"
            yield Row("interval of the best of k", setting, rate, 0.93, 0.98)
    for parameters, trials in ((2, 40), (6, 40), (6, 200)):
        rate = measure_edge_warnings(parameters, trials, max(200, experiments // 4))
        setting = f"noise, {parameters} hyperparameters, {trials} trials"
        yield Row("a search warns of the end of a range", setting, rate, high=0.05)
    for trials in (80, 200):
        rate = measure_first_importance(trials, max(50, experiments // 20))
        setting = f"scores at the first rung of {trials} trials"
        yield Row("the first importance is the true one", setting, rate, low=0.9)
