"""What holds for every test."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.support.paths import ROOT, TRIVIAL


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Train on one thread: the nets here are tiny, and threads that wait spin a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use no server and cluster but a test's own; MLflow leaves the address it was told here."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)


@pytest.fixture
def space_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a space file of the user's: the trivial space, with lines of one's own below."""

    def write(lines: str = "", name: str = "toy") -> Path:
        path = tmp_path / f"{name}.py"
        trivial = TRIVIAL.read_text(encoding="utf-8")
        path.write_text(f"{trivial}\nfrom dataclasses import replace\n{lines}\n", encoding="utf-8")
        return path

    return write


class Search(subprocess.Popen[str]):
    """`python -m trainables.tune` as a process of its own, with what it says."""

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
    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def until(self, true: Callable[[], object], seconds: float = 55) -> None:
        """Wait until something is true; fails where the process ends or time is up before."""
        deadline = time.monotonic() + seconds
        while not true():
            assert self.poll() is None, self.said
            assert time.monotonic() < deadline, self.said
            time.sleep(0.02)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Search]]:
    """Start a search in `tmp_path/runs`, or where the words say; it is killed after the test."""
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
    """Run a search to its end; gives the exit code and what was said."""

    def run(*words: object, **env: str) -> tuple[int, str]:
        search = start(*words, **env)
        return search.wait(), search.said

    return run
