"""How many trials share a GPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray import exceptions

from cluster.execution import gpu_sharing
from cluster.execution.gpu_sharing import CONTEXT, HEADROOM, Load, measure_load, trials_per_gpu
from cluster.execution.trainable import WorkerSettings
from trainables.errors import UserError
from trainables.run import Run

GIB = 2**30


@pytest.mark.parametrize(
    ("load", "room", "expected"),
    [
        (Load(80 * GIB, GIB, 1.0), 16, 1),  # one keeps it busy
        (Load(80 * GIB, GIB, 0.5), 16, 2),
        (Load(80 * GIB, GIB, 0.3), 16, 4),  # the fourth fills what is left
        (Load(80 * GIB, GIB, 0.3), 3, 3),  # the CPUs run three
        (Load(8 * GIB, 3 * GIB, 0.1), 16, 2),  # memory
        (Load(8 * GIB, 9 * GIB, 0.1), 16, 1),  # never none
        (Load(80 * GIB, GIB, 0.0), 16, 16),
    ],
)
def test_as_many_as_end_the_most_per_hour(load: Load, room: int, expected: int) -> None:
    assert trials_per_gpu(load, room) == expected


def test_what_is_packed_fits() -> None:
    for peak in range(1, 40):
        load = Load(40 * GIB, peak * GIB, 0.01)
        used = trials_per_gpu(load, 100) * (load.peak + CONTEXT)
        assert used <= HEADROOM * load.free or trials_per_gpu(load, 100) == 1


SETTINGS = WorkerSettings("digits", Path(), Path(), reports=1, source="placeholder")


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A Ray that runs at once what it is asked to, or never."""
    found = SimpleNamespace(load=Load(80 * GIB, GIB, 0.5), free=True, waits=[])

    def get(work: Any, timeout: float | None = None) -> Any:
        found.waits.append(timeout)
        if not found.free and timeout:
            raise exceptions.GetTimeoutError("not yet")
        return work

    def remote(**_: Any) -> Any:
        return lambda work: SimpleNamespace(remote=lambda *words: words and found.load)

    fake = SimpleNamespace(remote=remote, get=get, exceptions=exceptions)
    monkeypatch.setattr(gpu_sharing, "ray", fake)
    return found


def test_a_probe_gives_a_share(ray: Any) -> None:
    assert gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0) == (
        0.5,
        ray.load,
    )
    with pytest.raises(UserError, match="sees no GPU"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0}, 1.0)


def test_a_probe_that_saw_nothing_run_is_none(ray: Any) -> None:
    ray.load = Load(80 * GIB, GIB, 0.0)
    with pytest.raises(UserError, match=r"saw nothing run.*\n.*give a number"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0)


def test_a_gpu_that_does_not_come_is_waited_for_only_so_long(ray: Any) -> None:
    ray.free = False
    with pytest.raises(UserError, match="no GPU was free, or could be rented, in 900 s"):
        gpu_sharing.measure_gpu_fraction(SETTINGS, {}, {"CPU": 8.0, "GPU": 1.0}, 1.0)
    assert ray.waits == [gpu_sharing.PATIENCE]


def test_a_task_of_one_report_is_measured_in_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []

    @contextmanager
    def profile(**_: object) -> Iterator[Any]:
        seen.clear()
        yield SimpleNamespace(key_averages=list)

    def train(config: object, run: Run) -> Iterator[None]:
        for report in range(run.reports):
            seen.append(report)
            yield

    space = SimpleNamespace(metric="loss", mode="min", train=train, config=dict)
    monkeypatch.setattr(gpu_sharing, "load", lambda name: space)
    for name in ("init", "synchronize"):
        monkeypatch.setattr(torch.cuda, name, lambda: None)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (1, 1))
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 1)
    monkeypatch.setattr("torch.profiler.profile", profile)
    measure_load(SETTINGS, {})
    assert seen == [1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_probe_sees_memory_and_kernels(tmp_path: Path) -> None:
    settings = WorkerSettings("svhn_150k", tmp_path, tmp_path, reports=1, source="placeholder")
    load = measure_load(settings, {})
    assert 2**20 < load.peak < load.free
    assert 0 < load.busy <= 1
