"""Greedy selection against brute force, and blends evaluated on data they were not fitted to."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
from scipy.special import softmax

from reports.numbers.blends import (
    AVERAGES,
    VOTES,
    Blend,
    apply_blend,
    fit_calibrated,
    fit_uniform,
    predict_out_of_fold,
    select_single,
    split_halves,
)
from reports.numbers.calibration import apply_temperature, fit_temperature, nll
from reports.numbers.greedy import select_greedily


def make_outputs(
    models: int, n: int, classes: int = 3, seed: int = 0, skill: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, n)
    logits = random.normal(0, 1, (models, n, classes))
    logits[:, np.arange(n), targets] += skill * random.random((models, 1))
    return softmax(2 * logits, axis=2), targets


def cost(outputs: np.ndarray, targets: np.ndarray, members: list[int], criterion: str) -> float:
    mean = outputs[members].mean(axis=0)
    if criterion == "nll":
        return nll(mean, targets)
    return float(np.mean(mean.argmax(axis=1) != targets))


def select_by_force(
    outputs: np.ndarray, targets: np.ndarray, criterion: str, steps: int, initial: int
) -> list[int]:
    models = range(len(outputs))
    ranking = sorted(models, key=lambda m: (cost(outputs, targets, [m], criterion), m))
    selected = ranking[:initial]
    while len(selected) < steps:
        selected = [
            *selected,
            min(
                models,
                key=lambda m: (
                    round(cost(outputs, targets, [*selected, m], criterion), 12),
                    m not in selected,
                    ranking.index(m),
                ),
            ),
        ]
    costs = [round(cost(outputs, targets, selected[: k + 1], criterion), 12) for k in range(steps)]
    return selected[: costs.index(min(costs)) + 1]


@pytest.mark.parametrize("criterion", ["nll", "accuracy"])
@pytest.mark.parametrize("seed", range(5))
def test_it_selects_what_a_plain_loop_selects(criterion: str, seed: int) -> None:
    outputs, targets = make_outputs(7, 40, seed=seed)
    for steps, initial in ((1, 1), (12, 1), (12, 3), (7, 7)):
        found = select_greedily(outputs, targets, criterion, steps, initial)
        assert list(found.selected) == select_by_force(outputs, targets, criterion, steps, initial)


@pytest.mark.parametrize("criterion", ["nll", "accuracy"])
def test_two_steps_find_the_best_pair_with_the_best_model(criterion: str) -> None:
    outputs, targets = make_outputs(8, 60, seed=3)
    alone = [cost(outputs, targets, [m], criterion) for m in range(8)]
    best = int(np.argmin(alone))
    pairs = [p for p in combinations_with_replacement(range(8), 2) if best in p]
    least = min(cost(outputs, targets, list(pair), criterion) for pair in pairs)
    found = select_greedily(outputs, targets, criterion, steps=2, initial=1)
    assert found.costs[-1] == pytest.approx(least)


def test_single_precision_in_many_blocks_selects_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs, targets = make_outputs(20, 500, 10, seed=1)
    for criterion in ("nll", "accuracy"):
        whole = select_greedily(outputs, targets, criterion, 20)
        with monkeypatch.context() as patch:
            patch.setattr("reports.numbers.greedy.BLOCK", 7000)
            parts = select_greedily(outputs.astype(np.float32), targets, criterion, 20)
        assert parts.selected == whole.selected
        assert parts.costs == pytest.approx(whole.costs, rel=1e-5)


def test_ties_go_to_members_already_selected() -> None:
    outputs, targets = make_outputs(3, 30)
    twins = outputs[[0, 0, 0, 1]]
    selected = set(select_greedily(twins, targets, "accuracy", 10, 1).selected)
    assert len(selected & {0, 1, 2}) <= 1


def test_members_after_the_best_prefix_are_cut() -> None:
    targets = np.arange(60) % 3
    perfect, wrong = np.eye(3)[targets], np.eye(3)[(targets + 1) % 3]
    found = select_greedily(np.stack([wrong, perfect, wrong]), targets, "accuracy", 10, 3)
    assert found.selected == (1,)
    assert list(found.weights) == [0, 1, 0]


def test_targets_that_no_model_predicts_are_errors() -> None:
    votes = np.eye(2)[np.zeros((2, 4), int)]
    assert select_greedily(votes, np.array([0, 0, -1, -1]), "accuracy", 1).costs == (0.5,)


def test_an_unknown_criterion_and_no_models_are_rejected() -> None:
    outputs, targets = make_outputs(2, 10)
    with pytest.raises(ValueError, match="'auc'"):
        select_greedily(outputs, targets, "auc")
    with pytest.raises(ValueError, match="no models or no examples"):
        select_greedily(outputs[:0], targets)


@pytest.mark.parametrize("seed", range(4))
def test_uniform_tries_every_k_of_the_ranking(seed: int) -> None:
    outputs, targets = make_outputs(10, 80, seed=seed)
    ranking = sorted(range(10), key=lambda m: nll(outputs[m], targets))
    k = min(range(1, 11), key=lambda k: nll(outputs[ranking[:k]].mean(axis=0), targets))
    blend = fit_uniform(outputs, targets)
    assert sorted(blend.members) == sorted(ranking[:k])
    assert apply_blend(blend, outputs) == pytest.approx(outputs[ranking[:k]].mean(axis=0))


def test_every_calibrated_member_has_its_own_temperature() -> None:
    outputs, targets = make_outputs(4, 300, skill=3.0)
    bold = softmax(8 * np.log(outputs), axis=2)
    blend = fit_calibrated(bold, targets)
    first = blend.members[0]
    assert blend.temperatures[first] == pytest.approx(fit_temperature(bold[first], targets))
    members = [apply_temperature(bold[m], blend.temperatures[m]) for m in blend.members]
    assert apply_blend(blend, bold) == pytest.approx(np.mean(members, axis=0))
    assert nll(apply_blend(blend, bold), targets) < nll(
        apply_blend(select_single(bold, targets), bold), targets
    )


def test_halves_are_stratified_and_evaluate_every_example_once() -> None:
    targets = np.repeat([0, 1, 2], [10, 30, 60])
    folds = split_halves(targets, stratified=True)
    assert sorted(np.concatenate([evaluate for _, evaluate in folds])) == list(range(100))
    for fit, evaluate in folds:
        assert not set(fit) & set(evaluate)
        assert list(np.bincount(targets[evaluate])) == [5, 15, 30]
    with pytest.raises(ValueError, match="3 examples"):
        split_halves(targets[:3], stratified=True)


def test_out_of_fold_has_no_selection_bias() -> None:
    # 200 random models: the best one is good only on the data on which it was selected.
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 100)
    outputs = np.eye(2)[random.integers(0, 2, (200, 100))]
    seen = apply_blend(select_single(outputs, targets), outputs)
    unseen = predict_out_of_fold(
        select_single, outputs, targets, split_halves(targets, stratified=True), calibrate=False
    )
    assert np.mean(seen.argmax(1) == targets) > 0.6
    assert abs(np.mean(unseen.argmax(1) == targets) - 0.5) < 0.1


@pytest.mark.parametrize("name", [*AVERAGES, *VOTES])
def test_every_blend_is_an_average(name: str) -> None:
    outputs, targets = make_outputs(6, 50)
    blend = {**AVERAGES, **VOTES}[name](outputs, targets)
    assert isinstance(blend, Blend)
    assert blend.weights.sum() == pytest.approx(1)
    assert apply_blend(blend, outputs).sum(axis=1) == pytest.approx(np.ones(50))
