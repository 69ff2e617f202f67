"""Settings of a process that a task may change, and that the next trial must not inherit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class TaskSettings:
    """How torch and NumPy compute in this process, and which warnings are shown."""

    dtype: torch.dtype
    precision: str
    deterministic: int
    gradients: bool
    numpy: dict[str, Any]
    filters: tuple[Any, ...]


def read_settings() -> TaskSettings:
    """Return the settings of this process."""
    return TaskSettings(
        dtype=torch.get_default_dtype(),
        precision=torch.get_float32_matmul_precision(),
        deterministic=torch.get_deterministic_debug_mode(),
        gradients=torch.is_grad_enabled(),
        numpy=dict(np.geterr()),
        filters=tuple(warnings.filters),
    )


def restore_settings(settings: TaskSettings) -> None:
    """Set the settings of this process to those that `read_settings` has returned."""
    now = read_settings()
    if now.dtype != settings.dtype:
        torch.set_default_dtype(settings.dtype)
    if now.precision != settings.precision:
        torch.set_float32_matmul_precision(settings.precision)
    if now.deterministic != settings.deterministic:
        torch.set_deterministic_debug_mode(settings.deterministic)
    torch.set_grad_enabled(settings.gradients)
    np.seterr(**settings.numpy)
    if now.filters != settings.filters:
        warnings.resetwarnings()  # which lets Python look at the filters again
        warnings.filters = list(settings.filters)
