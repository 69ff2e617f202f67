"""Scores of predictions: their values, and how often their intervals cover the truth."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss, mean_absolute_error, r2_score, root_mean_squared_error

from reports.numbers.scores import (
    FEWEST,
    FEWEST_LOSSES,
    FEWEST_SQUARES,
    MANY,
    PARTS,
    ratio_interval,
    score_outputs,
)
from reports.numbers.statistics import Interval, wilson_interval
from tests.benchmarks.calibration.intervals import measure_score_coverage

Draw = Callable[[np.random.Generator, int], np.ndarray]
EXPERIMENTS = 300


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_probabilities_have_accuracy_and_loss(random: np.random.Generator) -> None:
    outputs = softmax(random.normal(size=(200, 3)), axis=1)
    targets = random.integers(0, 3, 200)
    scores = score_outputs(outputs, targets)
    correct = int((outputs.argmax(1) == targets).sum())
    share = wilson_interval(correct, 200)
    assert scores["accuracy"] == Interval(correct / 200, share.low, share.high, 200)
    assert scores["loss"].value == pytest.approx(log_loss(targets, outputs))
    assert list(scores) == ["accuracy", "loss"]


def test_numbers_have_the_scores_of_a_regression(random: np.random.Generator) -> None:
    targets = random.normal(10, 3, FEWEST_SQUARES)
    outputs = targets + random.normal(size=FEWEST_SQUARES)
    scores = score_outputs(outputs, targets)
    assert scores["R²"].value == pytest.approx(r2_score(targets, outputs))
    assert scores["RMSE"].value == pytest.approx(root_mean_squared_error(targets, outputs))
    assert scores["MAE"].value == pytest.approx(mean_absolute_error(targets, outputs))
    assert all(score.low < score.value < score.high for score in scores.values())
    assert "R²" not in score_outputs(outputs, np.ones(FEWEST_SQUARES))
    fewer = score_outputs(outputs[1:], targets[1:])
    assert {name: score.is_known for name, score in fewer.items()} == {
        "R²": False,
        "RMSE": False,
        "MAE": True,
    }


def test_answers_are_an_exact_match_or_none() -> None:
    answers, targets = np.array(["1", "2", "3"], object), np.array(["1", "20", "3"], object)
    assert score_outputs(answers, targets)["exact match"].value == pytest.approx(2 / 3)


def test_a_text_has_bits_and_perplexity(random: np.random.Generator) -> None:
    outputs = softmax(random.normal(size=(PARTS * FEWEST, 3)), axis=1)
    scores = score_outputs(outputs, random.integers(0, 3, len(outputs)), is_text=True)
    loss, bits, perplexity = (scores[n] for n in ("loss", "bits per character", "perplexity"))
    assert bits.value == pytest.approx(loss.value / math.log(2))
    assert perplexity.high == pytest.approx(math.exp(loss.high))
    short = score_outputs(outputs[:-1], np.zeros(len(outputs) - 1, int), is_text=True)
    assert not short["perplexity"].is_known


def test_few_and_equal_values_have_no_interval() -> None:
    few = np.arange(FEWEST - 1.0)
    assert not ratio_interval(few, np.ones(len(few))).is_known
    for value in (0.0, 2.0):
        assert ratio_interval(np.full(300, value), np.ones(300)).value == value
        assert not ratio_interval(np.full(300, value), np.ones(300)).is_known


def test_of_many_examples_the_interval_is_that_of_student(random: np.random.Generator) -> None:
    values = random.exponential(1, MANY)
    many, fewer = (ratio_interval(v, np.ones(len(v))) for v in (values, values[:-1]))
    assert (many.low, many.high) == pytest.approx((fewer.low, fewer.high), rel=2e-3)


@pytest.mark.parametrize(
    ("draw", "n"),
    [
        # Losses of good classifiers.
        (lambda r, n: np.logaddexp(0, -r.normal(4, 2, n)), FEWEST_LOSSES),
        (lambda r, n: np.logaddexp(0, -r.normal(6, 3, n)), FEWEST_LOSSES),
        (lambda r, n: np.abs(r.laplace(size=n)), 100),  # absolute errors
    ],
)
def test_the_interval_of_a_skewed_mean_covers_it(
    draw: Draw, n: int, random: np.random.Generator
) -> None:
    truth = draw(random, 10**6).mean()
    found = [ratio_interval(draw(random, n), np.ones(n)) for _ in range(EXPERIMENTS)]
    assert 0.925 <= np.mean([i.low <= truth <= i.high for i in found]) <= 0.975


def test_the_intervals_of_squared_errors_cover_them() -> None:
    covered = measure_score_coverage("log-normal", FEWEST_SQUARES, EXPERIMENTS // 5)
    for share in (covered["RMSE"].value, covered["R²"].value):
        assert share >= 0.93 - 2 * 0.033


def test_the_interval_of_a_text_covers_what_depends_on_its_neighbours(
    random: np.random.Generator,
) -> None:
    def is_covered() -> bool:  # a moving average over 20 characters decides what is correct
        noise = random.normal(size=PARTS * FEWEST + 19)
        hard = np.convolve(noise, np.ones(20), "valid") > 0
        outputs = np.where(hard[:, None], [0.3, 0.7], [0.7, 0.3])
        score = score_outputs(outputs, np.zeros(len(hard), int), is_text=True)["accuracy"]
        return score.low <= 0.5 <= score.high

    assert 0.925 <= np.mean([is_covered() for _ in range(1000)]) <= 0.975
