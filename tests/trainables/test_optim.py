"""Schedules as functions of progress, and weight decay of parameters."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from trainables import optim
from trainables.errors import UserError
from trainables.optim import (
    SCHEDULES,
    add_warmup,
    build_optimizer,
    get_schedule,
    set_learning_rate,
)

STEPS = [step / 1000 for step in range(1000)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_is_a_factor_of_the_peak_without_state(name: str) -> None:
    factors = [get_schedule(name)(progress) for progress in STEPS]
    assert all(0 < factor <= 1 for factor in factors)
    assert max(factors) > 0.9999
    assert [get_schedule(name)(progress) for progress in reversed(STEPS)] == factors[::-1]


def test_factors_at_start_peak_and_end() -> None:
    assert optim.constant(0.0) == optim.constant(0.999) == 1
    assert optim.cosine(0.0) == 1
    assert optim.cosine(0.5) == pytest.approx(0.5)
    assert optim.cosine(0.999) < 1e-5
    assert optim.linear(0.25) == 0.75
    assert optim.one_cycle(0.0) == pytest.approx(0.04)
    assert optim.one_cycle(0.25) == 1
    assert optim.one_cycle(0.999) == 1e-4
    assert optim.one_cycle(0.2499) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["cosine", "linear"])
def test_decays_are_monotonic(name: str) -> None:
    factors = [get_schedule(name)(progress) for progress in STEPS]
    assert all(later < earlier for earlier, later in itertools.pairwise(factors))


def test_one_cycle_rises_then_falls() -> None:
    factors = [optim.one_cycle(progress) for progress in STEPS]
    assert factors[:251] == sorted(factors[:251])
    assert factors[250:] == sorted(factors[250:], reverse=True)


def test_warmup_precedes_the_full_schedule() -> None:
    warmed = add_warmup(optim.linear, 0.1)
    assert 0 < warmed(0.0) < 0.02
    assert warmed(0.05) == pytest.approx(0.51)
    assert warmed(0.1) == 1
    assert warmed(0.55) == pytest.approx(0.5)
    assert all(0 < warmed(progress) <= 1 for progress in STEPS)
    assert add_warmup(optim.linear, 0.0) is optim.linear


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UserError, match=r"'cosin'.*constant, cosine, one_cycle, linear"):
        get_schedule("cosin")
    with pytest.raises(UserError, match=r"'lion'.*adam, adamw, sgd"):
        build_optimizer("lion", nn.Linear(1, 1), learning_rate=1, weight_decay=0, momentum=0)


def _model() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3))


@pytest.mark.parametrize(
    ("name", "kind"),
    [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)],
)
def test_scales_and_biases_do_not_decay(name: str, kind: type[torch.optim.Optimizer]) -> None:
    model = _model()
    updates = build_optimizer(name, model, learning_rate=0.3, weight_decay=0.2, momentum=0.8)
    assert type(updates) is kind
    decay = {
        id(parameter): group["weight_decay"]
        for group in updates.param_groups
        for parameter in group["params"]
    }
    found = {key: decay[id(parameter)] for key, parameter in model.named_parameters()}
    assert found == {
        **{"0.weight": 0.2, "0.bias": 0, "1.weight": 0, "1.bias": 0},
        **{"3.weight": 0.2, "3.bias": 0},
    }
    assert all(group["lr"] == 0.3 for group in updates.param_groups)


def test_momentum_is_nesterovs() -> None:
    with_it, without = (
        build_optimizer("sgd", _model(), learning_rate=1, weight_decay=0, momentum=m).param_groups[
            0
        ]
        for m in (0.8, 0.0)
    )
    assert (with_it["momentum"], with_it["nesterov"]) == (0.8, True)
    assert (without["momentum"], without["nesterov"]) == (0.0, False)


def test_frozen_parameters_are_not_optimized() -> None:
    model = _model()
    model[0].requires_grad_(False)
    updates = build_optimizer("sgd", model, learning_rate=1, weight_decay=0, momentum=0)
    given = {id(p) for group in updates.param_groups for p in group["params"]}
    assert given == {id(p) for part in model[1:] for p in part.parameters()}
    only_gains = build_optimizer("sgd", model[1], learning_rate=1, weight_decay=0, momentum=0)
    assert len(only_gains.param_groups) == 1


def test_every_group_gets_the_learning_rate() -> None:
    updates = build_optimizer("adamw", _model(), learning_rate=1, weight_decay=0.1, momentum=0)
    set_learning_rate(updates, math.pi)
    assert [group["lr"] for group in updates.param_groups] == [math.pi, math.pi]
