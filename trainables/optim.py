"""Optimizers with the usual parameter groups, and schedules without state.

A schedule is a pure function of progress in [0, 1) that gives a factor of the peak learning
rate, so a resumed trial needs only to know how far it is.
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
    """Stay at the peak."""
    return 1.0


def cosine(progress: float) -> float:
    """Fall from the peak to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def one_cycle(progress: float, warmup: float = 0.25, start: float = 0.04) -> float:
    """Rise for the first quarter, then fall to nearly 0 (Smith and Topin, 2018)."""
    if progress < warmup:
        return start + (1.0 - start) * 0.5 * (1.0 - math.cos(math.pi * progress / warmup))
    return max(0.5 * (1.0 + math.cos(math.pi * (progress - warmup) / (1.0 - warmup))), 1e-4)


def linear(progress: float) -> float:
    """Fall from the peak to 0 in a straight line."""
    return 1.0 - progress


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {"constant": constant, "cosine": cosine, "one_cycle": one_cycle, "linear": linear}
)


def add_warmup(schedule: Schedule, warmup: float) -> Schedule:
    """Put a straight rise before a schedule; `warmup` is a share of the whole training."""
    if warmup <= 0:
        return schedule

    def factor(progress: float) -> float:
        rise = min(1.0, (progress + 1e-3) / warmup)
        return rise if progress < warmup else schedule((progress - warmup) / (1.0 - warmup))

    return factor


def get_schedule(name: str) -> Schedule:
    """Look a schedule up by name; raises UserError with the names there are."""
    if name not in SCHEDULES:
        raise UserError(f"unknown schedule {name!r}; there are: {', '.join(SCHEDULES)}")
    return SCHEDULES[name]


def build_optimizer(
    name: str, model: nn.Module, *, learning_rate: float, weight_decay: float, momentum: float
) -> torch.optim.Optimizer:
    """Build adam, adamw or sgd (Nesterov); gains and biases (1-d parameters) do not decay.

    For Adam and AdamW, `momentum` is not used: beta_1 stays 0.9. Fused kernels on CUDA.
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
    raise UserError(f"unknown optimizer {name!r}; there are: adam, adamw, sgd")


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Give every parameter group the same learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
