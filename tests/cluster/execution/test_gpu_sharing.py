"""How many trials share a GPU, and the measurement of one trial's load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import make_dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray import exceptions

from cluster.execution import gpu_sharing
from cluster.execution.attempt import WorkerSettings
from cluster.execution.gpu_sharing import CONTEXT, HEADROOM, Load, measure_load, trials_per_gpu
from trainables.errors import UserError
from trainables.run import Run

GIB = 2**30


@pytest.mark.parametrize(
    ("load", "limit", "expected"),
    [
        (Load(80 * GIB, GIB, 1.0), 16, 1),  # one keeps it busy
        (Load(80 * GIB, GIB, 0.5), 16, 2),
        (Load(80 * GIB, GIB, 0.3), 16, 4),  # the fourth fills what is left
        (Load(80 * GIB, GIB, 0.3), 3, 3),  # the CPUs run three
        (Load(8 * GIB, 3 * GIB, 0.1), 16, 2),  # memory
        (Load(8 * GIB, 9 * GIB, 0.1), 16, 1),  # at least one
        (Load(80 * GIB, GIB, 0.0), 16, 16),
    ],
)
def test_trials_share_a_gpu_until_it_is_busy_or_full(
    load: Load, limit: int, expected: int
) -> None:
    assert trials_per_gpu(load, limit) == expected


def test_trials_that_share_a_gpu_fit_into_its_memory() -> None:
    for peak in range(1, 40):
        load = Load(40 * GIB, peak * GIB, 0.01)
        used = trials_per_gpu(load, 100) * (load.peak + CONTEXT)
        assert used <= HEADROOM * load.free or trials_per_gpu(load, 100) == 1


SETTINGS = WorkerSettings("digits", Path(), Run(1, source="placeholder"))


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Replace Ray by one that runs a task at once, or never."""
    state = SimpleNamespace(load=Load(80 * GIB, GIB, 0.5), free=True, waits=[])

    def get(work: Any, timeout: float | None = None) -> Any:
        state.waits.append(timeout)
        if not state.free and timeout:
            raise exceptions.GetTimeoutError("not yet")
        return work

    def remote(**_: Any) -> Any:
        return lambda work: SimpleNamespace(remote=lambda *words: words and state.load)

    fake = SimpleNamespace(remote=remote, get=get, exceptions=exceptions)
    monkeypatch.setattr(gpu_sharing, "ray", fake)
    return state


def test_a_measured_trial_gives_a_fraction_of_the_gpu(ray: Any) -> None:
    assert gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0) == (
        0.5,
        ray.load,
    )
    with pytest.raises(UserError, match="sees no GPU"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0}, 1.0)


def test_a_trial_that_ran_nothing_on_the_gpu_is_rejected(ray: Any) -> None:
    ray.load = Load(80 * GIB, GIB, 0.0)
    with pytest.raises(UserError, match=r"ran nothing on the GPU\n.*give a number"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0)


def test_the_search_waits_for_a_free_gpu_only_so_long(ray: Any) -> None:
    ray.free = False
    with pytest.raises(UserError, match="no GPU became free within 900 s"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0)
    assert ray.waits == [gpu_sharing.PATIENCE]


def test_a_task_of_one_report_is_measured_in_a_second_report(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[int] = []

    @contextmanager
    def profile(**_: object) -> Iterator[Any]:
        seen.clear()
        yield SimpleNamespace(key_averages=list)

    def train(config: object, run: Run) -> Iterator[None]:
        for report in range(run.reports):
            seen.append(report)
            yield

    config = make_dataclass("Config", [])
    space = SimpleNamespace(name="toy", metric="loss", mode="min", train=train, config=config)
    monkeypatch.setattr(gpu_sharing, "load_space", lambda name: space)
    for name in ("init", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 1))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 1)
    monkeypatch.setattr("torch.profiler.profile", profile)
    measure_load(SETTINGS, {})
    assert seen == [1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_memory_and_kernels_are_measured(tmp_path: Path) -> None:
    run = Run(1, cache=tmp_path, source="placeholder")
    settings = WorkerSettings("svhn_150k", tmp_path, run)
    load = measure_load(settings, {})
    assert 2**20 < load.peak < load.free
    assert 0 < load.busy <= 1
