"""A worker that has run fifty trials uses no more memory than after the first ones."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from cluster.execution.attempt import AttemptRunner, WorkerSettings
from trainables.run import Run

TRIALS = 50
WARM_UP = 3  # trials after which everything that is loaded once has been loaded


def _bytes_on_cpu() -> int:
    gc.collect()
    found = [o for o in gc.get_objects() if issubclass(type(o), torch.Tensor)]
    # Those of other tests have no storage where they are sparse.
    tensors = [t for t in found if t.layout == torch.strided]
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
def test_memory_is_freed_between_trials(
    tmp_path: Path, gpus: list[int], allocated: Callable[[], int]
) -> None:
    run = Run(1, metric="validation_accuracy", mode="max", cache=tmp_path / "cache")
    runner = AttemptRunner(WorkerSettings("digits", tmp_path, run), gpus)
    small = {"epochs": 1, "batch_size": 128}
    after = []
    for number in range(TRIALS):
        values = {**small, "seed": number, "width": 32 + number % 5}
        runner.begin({"trial": number, "attempt": 1, "config": values})
        assert runner.step()["outcome"] == "complete"
        runner.close()
        if number in (WARM_UP, TRIALS - 1):
            after.append(allocated())
    assert after[1] <= after[0]
