"""What is prepared before a search is created, and undone after it."""

from __future__ import annotations

import io
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.execution import gpu_sharing, prepare_cluster
from cluster.execution.gpu_sharing import Load
from cluster.options import Options
from cluster.storage.location import Location
from cluster.storage.storage import Storage
from searchspaces.space import SearchSpace
from trainables.errors import UserError
from trainables.run import Run

pytestmark = pytest.mark.usefixtures("two_cpus")


def prepare(
    space: SearchSpace[Any], folder: Path, out: io.StringIO | None = None, **options: Any
) -> Any:
    run = options.pop("run", Run(4))
    console = Console(file=out or io.StringIO(), width=300)
    chosen = Options(storage=Storage(folder), **options)
    return prepare_cluster.prepare_cluster(space, run, {}, chosen, console)


def test_a_prepared_cluster_has_settings_for_workers_and_resources(
    space: SearchSpace[Any], tmp_path: Path
) -> None:
    with prepare(space, tmp_path, concurrency=1) as cluster:
        assert cluster.worker.space == space.file
        assert cluster.worker.folder == tmp_path
        assert cluster.worker.teachers == Location(tmp_path.as_uri()) / "teachers"
        assert cluster.worker.remote is None
        assert (cluster.resources.cpus, cluster.resources.gpus) == (1.0, 0.0)
        assert (cluster.resources.concurrency, cluster.resources.joined) == (1, False)


def test_a_function_that_cannot_be_sent_is_named_before_ray_starts(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Lock()

    def train(config: Any, run: Run) -> Any:
        with lock:
            yield {"loss": 1.0}

    monkeypatch.setattr(prepare_cluster, "connect", None)
    here = replace(space, train=train, by_value=True)
    said = r"^train of \w+ cannot be sent .*: lock = <unlocked _thread.lock .*>: TypeError: "
    with pytest.raises(UserError, match=said), prepare(here, tmp_path):
        pass


def test_ray_is_disconnected_and_the_signal_handler_restored_after_an_error(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disconnected: list[str | None] = []

    @contextmanager
    def connect(address: str | None) -> Iterator[None]:
        try:
            yield
        finally:
            disconnected.append(address)

    monkeypatch.setattr(prepare_cluster, "connect", connect)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), prepare(space, tmp_path):
        assert signal.getsignal(signal.SIGTERM) is not before
        signal.raise_signal(signal.SIGTERM)  # arrives as an interrupt, which Tune handles
    assert signal.getsignal(signal.SIGTERM) is before
    with (
        pytest.raises(UserError, match="sees no GPU"),
        prepare(space, tmp_path, gpus_per_trial=0.5),
    ):
        pass
    assert disconnected == [None, None]


def test_the_teacher_is_uploaded_to_the_storage(space: SearchSpace[Any], tmp_path: Path) -> None:
    teacher = tmp_path / "cache" / "teacher-1"
    teacher.mkdir(parents=True)
    (teacher / "config.json").write_text("{}")
    with prepare(space, tmp_path / "runs", run=Run(4, teacher=teacher)) as cluster:
        assert cluster.worker.run.teacher == teacher
    assert (tmp_path / "runs" / "teachers").is_dir()


def test_the_measured_gpu_fraction_is_used_and_printed(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 8.0, "GPU": 1.0})
    load = Load(free=80 * 2**30, peak=2**30, busy=0.5)
    monkeypatch.setattr(gpu_sharing, "measure_gpu_fraction", lambda *_: (0.5, load))
    out = io.StringIO()
    with prepare(space, tmp_path, out, gpus_per_trial="auto") as cluster:
        assert cluster.resources.gpus == 0.5
    assert "measuring a trial as soon as Ray has a free GPU" in out.getvalue()
    assert "a trial uses 1.00 of 80.00 GiB and keeps the GPU busy 50%" in out.getvalue()
    assert "2 trials share it" in out.getvalue()


def test_a_joined_cluster_without_a_token_gives_a_warning(
    space: SearchSpace[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prepare_cluster, "warn_if_open", lambda address: f"{address} is open")
    out = io.StringIO()
    with prepare(space, tmp_path, out, address="10.0.0.1:6379") as cluster:
        assert cluster.resources.joined
    assert out.getvalue() == "joining Ray at 10.0.0.1:6379 ...\n10.0.0.1:6379 is open\n"
