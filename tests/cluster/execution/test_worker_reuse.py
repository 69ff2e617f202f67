"""Fifty trials in one worker leave no more behind than the first."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from cluster.execution import trainable
from cluster.execution.trainable import Trial, WorkerSettings

TRIALS = 50
WARM = 3  # trials after which whatever is loaded once is loaded


def _bytes_on_cpu() -> int:
    gc.collect()
    tensors = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def _bytes_on_gpu() -> int:
    gc.collect()
    return torch.cuda.memory_allocated()


@pytest.mark.parametrize(
    ("gpus", "allocated"),
    [
        pytest.param([], _bytes_on_cpu, id="cpu"),
        pytest.param(
            [0],
            _bytes_on_gpu,
            id="gpu",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"),
            ],
        ),
    ],
)
def test_memory_comes_back_between_trials(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    gpus: list[int],
    allocated: Callable[[], int],
) -> None:
    monkeypatch.setattr(trainable, "_gpus", lambda: gpus)
    settings = WorkerSettings("digits", tmp_path, tmp_path / "cache", reports=1)

    class Alone(Trial):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
            super().setup(config, settings)

    small = {"epochs": 1, "batch_size": 128}
    worker = Alone({"trial": 0, "attempt": 1, "values": small})
    after = []
    for number in range(TRIALS):
        values = {**small, "seed": number, "width": 32 + number % 5}
        worker.reset_config({"trial": number, "attempt": 1, "values": values})
        assert worker.step()["done"]
        worker.cleanup()
        if number in (WARM, TRIALS - 1):
            after.append(allocated())
    worker.stop()
    assert after[1] <= after[0]
