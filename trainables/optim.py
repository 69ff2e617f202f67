"""Optimizers with the usual parameter groups, and learning rate schedules without state.

A schedule is a function from progress in [0, 1) to a factor of the peak learning rate. A
resumed trial therefore needs its progress only, and no scheduler state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import nn

from trainables.errors import UserError

Schedule = Callable[[float], float]


def constant(progress: float) -> float:
    """Return 1: the peak learning rate throughout."""
    return 1.0


def cosine(progress: float) -> float:
    """Return the factor of cosine annealing to 0 (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def one_cycle(progress: float, warmup: float = 0.25, start_factor: float = 0.04) -> float:
    """Return the factor of the one-cycle policy (Smith and Topin, 2018), in cosine form.

    It rises from `start_factor` during the first quarter, then falls to 1e-4.
    """
    if progress < warmup:
        rise = 0.5 * (1.0 - math.cos(math.pi * progress / warmup))
        return start_factor + (1.0 - start_factor) * rise
    return max(0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup))), 1e-4)


def linear(progress: float) -> float:
    """Return the factor of linear decay to 0."""
    return 1.0 - progress


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"constant": constant, "cosine": cosine, "one_cycle": one_cycle, "linear": linear}
)


def add_warmup(schedule: Schedule, warmup: float) -> Schedule:
    """Return a schedule preceded by linear warmup; `warmup` is a fraction of the training."""
    if warmup <= 0:
        return schedule

    def factor(progress: float) -> float:
        ramp = min(1.0, (progress + 1e-3) / warmup)
        return ramp if progress < warmup else schedule((progress - warmup) / (1.0 - warmup))

    return factor


def get_schedule(name: str) -> Schedule:
    """Return the schedule of that name; raises UserError with the valid names."""
    if name not in SCHEDULES:
        raise UserError(f"unknown schedule {name!r}; choose one of {', '.join(SCHEDULES)}")
    return SCHEDULES[name]


def build_optimizer(
    name: str, model: nn.Module, *, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """Return adam, adamw or sgd (Nesterov) for a model, with fused kernels on CUDA.

    Biases and scales of norms (1-d parameters) get no weight decay. Adam and AdamW do not use
    `momentum`: their beta_1 is 0.9. Raises UserError for an unknown name.
    """
    weights = [p for p in model.parameters() if p.requires_grad and p.dim() > 1]
    others = [p for p in model.parameters() if p.requires_grad and p.dim() <= 1]
    groups = [
        {"params": weights, "weight_decay": weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.is_cuda for p in model.parameters())
    match name:
        case "adam":
            return torch.optim.Adam(groups, lr=learning_rate, fused=fused)
        case "adamw":
            return torch.optim.AdamW(groups, lr=learning_rate, fused=fused)
        case "sgd":
            return torch.optim.SGD(
                groups, lr=learning_rate, momentum=momentum, nesterov=momentum > 0, fused=fused
            )
    raise UserError(f"unknown optimizer {name!r}; choose one of adam, adamw, sgd")


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Set the learning rate of every parameter group."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
