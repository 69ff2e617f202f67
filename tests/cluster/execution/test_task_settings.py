"""Settings that a task has changed are restored."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from cluster.execution.task_settings import read_settings, restore_settings


def test_what_a_task_sets_is_restored() -> None:
    before = read_settings()
    torch.set_default_dtype(torch.float64)
    torch.set_float32_matmul_precision("medium")
    torch.set_deterministic_debug_mode("warn")
    torch.set_grad_enabled(False)
    np.seterr(divide="raise")
    warnings.simplefilter("error")
    assert read_settings() != before
    restore_settings(before)
    assert read_settings() == before
    with pytest.warns(UserWarning, match="shown"):  # and Python has not kept the other filters
        warnings.warn("shown", stacklevel=1)
