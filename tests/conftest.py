"""Fixtures of all tests: an isolated environment, space files, and searches as processes."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.paths import ROOT, TRIVIAL


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Train on one thread: the networks are tiny, and waiting threads slow down a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the servers, the cluster and the storage of the user from the environment.

    MLflow itself sets MLFLOW_TRACKING_URI when a test gives it an address.
    """
    for name in ("MLFLOW_TRACKING_URI", "RAY_ADDRESS", "TUNERY_STORAGE", "TUNERY_CAPACITY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a user's space file: the trivial space and more lines."""

    def write(lines: str = "", name: str = "toy") -> Path:
        path = tmp_path / f"{name}.py"
        trivial = TRIVIAL.read_text(encoding="utf-8")
        path.write_text(f"{trivial}\nfrom dataclasses import replace\n{lines}\n", encoding="utf-8")
        return path

    return write


class Search(subprocess.Popen[str]):
    """`python -m trainables.tune` as a process, and what it prints."""

    def __init__(self, words: tuple[object, ...], log: Path, env: dict[str, str]) -> None:
        self.log = log
        with log.open("w") as out:
            super().__init__(
                [sys.executable, "-m", "trainables.tune", *map(str, words)],
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "COLUMNS": "200", **env},
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def wait_until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait until a condition holds; fail where the process ends or the time is up before."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.poll() is None, self.output
            assert time.monotonic() < deadline, self.output
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """Return a function that starts a search, by default in `tmp_path/runs`.

    Searches that still run after the test are killed.
    """
    started: list[Search] = []

    def begin(*words: object, **env: str) -> Search:
        storage = () if "--storage" in words else ("--storage", tmp_path / "runs")
        search = Search((*words, *storage), tmp_path / f"log-{len(started)}.txt", env)
        started.append(search)
        return search

    yield begin
    for search in started:
        if search.poll() is None:
            search.kill()
            search.wait()


@pytest.fixture
def tune(start: Callable[..., Search]) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a search to its end and returns its exit code and output."""

    def run(*words: object, **env: str) -> tuple[int, str]:
        search = start(*words, **env)
        return search.wait(), search.output

    return run


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create an MLflow database once: its tables take seconds, a copy of the file does not."""
    from mlflow.tracking import MlflowClient  # a second, which other tests do not need

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def runs(empty_database: Path, tmp_path: Path) -> Path:
    """Return the storage folder `runs` with an empty MLflow database."""
    folder = tmp_path / "runs"
    folder.mkdir()
    shutil.copy(empty_database, folder / "mlflow.db")
    return folder


@pytest.fixture
def tune_inline(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Return a function like `tune`, which runs the search in this process and without Ray."""
    from cluster.cli import main  # seconds of imports that most tests do not need

    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: object) -> tuple[int, str]:
        capsys.readouterr()
        code = main([*map(str, words), "--storage", str(runs), "--executor", "inline"])
        captured = capsys.readouterr()
        return code, captured.out + captured.err

    return run


@pytest.fixture
def browser() -> Iterator[Any]:
    """Start Chromium; a test of a page is skipped where it or Playwright is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if (path := shutil.which("chromium") or shutil.which("google-chrome")) is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def two_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that Ray runs on a machine with two CPUs, without starting it."""
    monkeypatch.setattr("cluster.execution.prepare_cluster.connect", lambda _: nullcontext())
    monkeypatch.setattr("ray.nodes", list)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})
