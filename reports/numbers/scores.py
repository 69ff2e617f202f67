"""Scores of a model's predictions by metric, each with its 95 % interval over examples."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from reports.numbers.calibration import nll_per_example
from reports.numbers.statistics import Interval, mean_interval, wilson_interval

Array = NDArray[Any]

FEWEST = 100
"""Examples for an interval of a mean of absolute errors, or parts for one of a text."""
FEWEST_LOSSES = 400
"""Examples for one of the losses of a classifier: of one that is right and certain in 99 %, it
covers 90 % with 200 and 95 % with 400. Where the probability of the right class is 0, which is
clipped, losses are as a count of errors, which is covered in 91 to 97 % with 400."""
FEWEST_SQUARES = 2000
"""Examples for one of squared errors, which have longer tails: with 100 it covers 94 % where the
errors are normal or Laplace's, but 88 % where 5 % of them are three times as large as the others,
and 91 % where they are log-normal (0.5), of which 1,000 are covered in 92 and 2,000 in 94 %.
`tests/benchmarks/calibration/intervals.py` measures them. How long the tails are cannot be seen
in a small sample: one without a large error looks like one of short tails."""
PARTS = 30  # consecutive parts of a text, whose means are independent
RESAMPLES = 1000
MANY = 20_000  # examples from which on Student's t is as good as the bootstrap
SMALLEST = 1e-9  # standard error, relative, that is not one of rounding
CHUNK = 2**22  # entries of a resampling matrix held at once


def score_outputs(outputs: Array, targets: Array, is_text: bool = False) -> dict[str, Interval]:
    """Return the scores of outputs, by the names of their metrics, for targets (n,).

    `outputs` are probabilities (n, classes) for targets that are columns, numbers (n,) for
    targets of type float, or other answers (n,). With `is_text` the examples are the characters
    of a text in their order. Loss is the mean cross-entropy in nats.
    """
    if outputs.ndim == 2:
        correct = outputs.argmax(axis=1) == targets
        losses = nll_per_example(outputs, targets)
        return _score_text(correct, losses) if is_text else _score_classes(correct, losses)
    if targets.dtype.kind == "f":
        return _score_numbers(np.asarray(outputs, np.float64), targets)
    return {"exact match": share_interval(np.asarray(outputs == targets))}


def share_interval(correct: Array) -> Interval:
    """Return the share of correct examples with Wilson's score interval."""
    share = wilson_interval(int(correct.sum()), len(correct))
    return Interval(share.value, share.low, share.high, share.n)


def ratio_interval(values: Array, scale: Array, fewest: int = FEWEST) -> Interval:
    """Return mean(values) / mean(scale) of values >= 0, (n,) each, such as losses and ones.

    The interval is Efron's bootstrap-t (1981) of the logarithm, since losses and squared errors
    are skewed. Its ends are unknown for fewer than `fewest` examples, and where all values agree.
    """
    n = len(values)
    ratio = float(values.mean() / scale.mean())
    unknown = Interval(ratio, math.nan, math.nan, n)
    if n < fewest or ratio == 0:
        return unknown
    parts = np.stack([values / values.mean(), scale / scale.mean()])
    terms = np.stack([*parts, *parts**2, parts.prod(axis=0)], axis=1)
    error = float(_find_errors(terms.mean(axis=0), n))
    if error < SMALLEST:
        return unknown
    if n >= MANY:
        ends = stdtrit(n - 1, [0.025, 0.975])
    else:
        random = np.random.default_rng(0)
        size = max(1, CHUNK // n)
        drawn = []
        for start in range(0, RESAMPLES, size):
            means = _draw_counts(random, min(size, RESAMPLES - start), n) @ terms / n
            shift = np.log(means[:, 0] / means[:, 1])
            drawn.append(shift / _find_errors(means, n))
        ends = np.quantile(np.concatenate(drawn), [0.025, 0.975])
    low, high = (ratio * math.exp(-end * error) for end in reversed(ends.tolist()))
    return Interval(ratio, low, high, n)


def _draw_counts(random: np.random.Generator, samples: int, n: int) -> NDArray[np.float64]:
    """Return how often each of n examples is in each bootstrap sample, (samples, n)."""
    drawn = random.integers(0, n, (samples, n)) + n * np.arange(samples)[:, None]
    counts = np.bincount(drawn.ravel(), minlength=samples * n).reshape(samples, n)
    return counts.astype(np.float64)


def _find_errors(means: Array, n: int) -> NDArray[np.float64]:
    """Return the standard errors of log(mean(values) / mean(scale)) of samples.

    `means` (..., 5) are those of values, scale, the square of each, and their product.
    """
    value, scale, value_squared, scale_squared, product = np.moveaxis(means, -1, 0)
    variance = value_squared / value**2 + scale_squared / scale**2 - 2 * product / value / scale
    return np.asarray(np.sqrt(np.maximum(variance, 0) / (n - 1)))


def _score_classes(correct: Array, losses: Array) -> dict[str, Interval]:
    loss = ratio_interval(losses, np.ones(len(losses)), FEWEST_LOSSES)
    return {"accuracy": share_interval(correct), "loss": loss}


def _score_text(correct: Array, losses: Array) -> dict[str, Interval]:
    # Errors on characters that follow each other depend on each other.
    loss = _mean_over_parts(losses)
    return {
        "accuracy": _mean_over_parts(correct),
        "loss": loss,
        "bits per character": _transform(loss, lambda nats: nats / math.log(2)),
        "perplexity": _transform(loss, math.exp),
    }


def _mean_over_parts(values: Array) -> Interval:
    n = len(values)
    mean = float(np.mean(values))
    if n < PARTS * FEWEST:
        return Interval(mean, math.nan, math.nan, n)
    spread = mean_interval([float(part.mean()) for part in np.array_split(values, PARTS)])
    half = spread.high - spread.value
    return Interval(mean, mean - half, mean + half, n)


def _score_numbers(outputs: Array, targets: Array) -> dict[str, Interval]:
    errors, ones = outputs - targets, np.ones(len(targets))
    squares = errors**2
    found = {
        "RMSE": _transform(ratio_interval(squares, ones, FEWEST_SQUARES), math.sqrt),
        "MAE": ratio_interval(np.abs(errors), ones),
    }
    deviations = (targets - targets.mean()) ** 2
    if deviations.any():
        unexplained = ratio_interval(squares, deviations, FEWEST_SQUARES)
        low, high = 1 - unexplained.high, 1 - unexplained.low
        found = {"R²": Interval(1 - unexplained.value, low, high, len(targets)), **found}
    return found


def _transform(of: Interval, function: Callable[[float], float]) -> Interval:
    """Return an increasing function of an estimate and of its ends."""
    low, high = (function(end) if of.is_known else math.nan for end in (of.low, of.high))
    return Interval(function(of.value), low, high, of.n)
