"""The executor that the user chose is prepared, and only that one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.execution import inline, ray_tuner
from cluster.execution.executor import prepare_executor
from cluster.options import Options
from cluster.storage.storage import Storage
from searchspaces.space import SearchSpace
from trainables.run import Run


def test_a_search_in_this_process_needs_no_ray(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    seen: list[Any] = []
    monkeypatch.setattr(inline, "run", lambda *arguments: seen.append(arguments) or True)
    run, on_step = Run(4), lambda: None
    for concurrency in (None, 3):
        options = Options(storage=Storage(tmp_path), executor="inline", concurrency=concurrency)
        with prepare_executor(space, run, {}, options, Console(quiet=True)) as executor:
            assert executor.run(None, executor.worker, on_step)  # type: ignore[arg-type]
        assert (executor.worker.space, executor.worker.folder) == (space.file, tmp_path)
        assert executor.worker.run is run
        assert executor.resources["cpu"] == 1.0
        assert seen.pop() == (None, executor.worker, concurrency or 1, on_step)


@pytest.mark.usefixtures("two_cpus")
def test_a_search_on_ray_gets_the_prepared_resources(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(ray_tuner, "run", lambda *arguments: seen.append(arguments) or True)
    options = Options(storage=Storage(tmp_path), concurrency=2)
    with prepare_executor(space, Run(4), {}, options, Console(quiet=True)) as executor:
        assert executor.run(None, executor.worker, print)  # type: ignore[arg-type]
    assert executor.resources == {"cpu": 1.0, "gpu": 0.0}
    ((_, worker, resources, on_step),) = seen
    assert (worker, on_step) == (executor.worker, print)
    assert (resources.cpus, resources.concurrency) == (1.0, 2)
