"""Ensembles: how often one gains though no member adds anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from reports.chapters.ensembles.chapter import evaluate_recipes
from reports.chapters.ensembles.evaluation import score_ensemble
from reports.numbers.blends import apply_blend
from reports.numbers.calibration import apply_temperature, fit_temperature, nll_per_example
from reports.numbers.paired import compare_correct, paired_bootstrap
from reports.read.ensemble_members import Library
from reports.records import TrialRecord
from tests.benchmarks.calibration.rates import Rate, Row, Rows

CLASSES = 10
HEAT = 6.0  # of overconfident models


def draw_library(random: np.random.Generator, members: int, n: int, own: float) -> Library:
    """Return overconfident models of equal skill; `own` is the noise of each, 0 for copies."""
    targets = random.integers(0, CLASSES, n)
    logits = random.normal(0, 1, (n, CLASSES))
    logits[np.arange(n), targets] += 3
    each = logits + own * random.normal(0, 1, (members, n, CLASSES))
    outputs = softmax(HEAT * each, axis=2).astype(np.float32)
    runs = tuple(TrialRecord(f"{i}", f"{i}", i, "complete") for i in range(members))
    return Library(runs, outputs, targets, has_answers=False)


def measure_ensemble_gain(own: float, members: int, n: int, experiments: int) -> tuple[Rate, Rate]:
    """Return how often the selected ensemble gains likelihood and accuracy significantly."""
    likelihood, accuracy = [], []
    for seed in range(experiments):
        random = np.random.default_rng(seed)
        known, test = (draw_library(random, members, n, own) for _ in range(2))
        best = max(evaluate_recipes(known), key=score_ensemble)
        if len(best.runs) < 2:
            likelihood.append(False)
            accuracy.append(False)
            continue
        outputs: list[NDArray[Any]] = []
        for fit, use in (
            (apply_blend(best.blend, known.outputs), apply_blend(best.blend, test.outputs)),
            (known.outputs[0], test.outputs[0]),
        ):
            outputs.append(apply_temperature(use, fit_temperature(fit, known.targets)))
        losses = [nll_per_example(output, test.targets) for output in outputs]
        likelihood.append(paired_bootstrap(losses[1] - losses[0], 500).low > 0)
        correct = [output.argmax(axis=1) == test.targets for output in outputs]
        accuracy.append(compare_correct(*correct).p < 0.05 and correct[0].sum() > correct[1].sum())
    return Rate(float(np.mean(likelihood)), experiments), Rate(
        float(np.mean(accuracy)), experiments
    )


def simulate(experiments: int) -> Rows:
    """Yield the rows of ensembles."""
    few = max(100, experiments // 10)
    for own, who in ((0.0, "copies of one model"), (0.02, "nearly copies")):
        likelihood, accuracy = measure_ensemble_gain(own, 10, 359, few)
        yield Row("an ensemble gains likelihood", f"10 {who}, n = 359", likelihood, high=0.05)
        yield Row("an ensemble gains accuracy", f"10 {who}, n = 359", accuracy, high=0.05)
    likelihood, _ = measure_ensemble_gain(0.7, 10, 359, few)
    yield Row("an ensemble gains likelihood", "10 independent models", likelihood, low=0.8)
