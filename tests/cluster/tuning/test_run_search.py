"""One search from its options to its summary, without Ray."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.settings import read_settings
from cluster.options import Options
from cluster.storage.storage import Storage
from cluster.tuning.run_search import run_search
from searchspaces.space import SearchSpace
from tests.support.reports import make_result
from trainables.errors import UserError
from trainables.run import Run

pytestmark = pytest.mark.usefixtures("two_cpus")


def complete_all(queue: TrialQueue, *_: Any) -> bool:
    while not queue.finished and (attempt := queue.next_attempt()):
        queue.record_result(attempt.trial, make_result(0.5))
        queue.record_end(attempt.trial, "complete")
    return queue.ledger.finished


@pytest.fixture
def search(
    space: SearchSpace[Any], tmp_path: Path, database: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[int, str]]:
    """Return a function that runs a search and returns its exit code and output."""

    def run(ray: Callable[..., bool] = complete_all, **options: Any) -> tuple[int, str]:
        monkeypatch.setattr("cluster.execution.ray_tuner.run", ray)
        out = io.StringIO()
        chosen = Options(storage=Storage(tmp_path / "runs", None, database), **options)
        end = run_search(space, Run(4), chosen, Console(file=out, width=300))
        return end.exit_code, out.getvalue()

    return run


def test_a_new_search_runs_and_prints_its_summary(
    search: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, output = search()
    assert code == 0
    assert "4 trials, 4 reports each" in output
    assert "best trials by loss" in output
    assert "python -m reports trivial" in output
    folder = tmp_path / "runs" / "trivial"
    assert read_settings(folder).resources == {"cpu": 1.0, "gpu": 0.0}
    ledger = ledgers.reopen_ledger(folder)  # it is not left locked
    assert ledger.finished


def test_a_finished_search_needs_no_cluster_and_can_be_extended(
    search: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search()
    code, output = search(trials=6, resume_mode="resume")
    assert code == 0
    assert "6 trials, 4 of them ended before" in output
    assert len(list((tmp_path / "runs" / "trivial" / "trials").iterdir())) == 6
    monkeypatch.setattr(
        "cluster.execution.prepare_cluster.connect", lambda _: pytest.fail("Ray was started")
    )
    assert search(resume_mode="resume")[0] == 0


def test_a_rejected_resume_changes_nothing(
    search: Callable[..., tuple[int, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    search()
    before = read_settings(tmp_path / "runs" / "trivial")

    def reject(*_: Any) -> None:
        raise UserError("a choice is missing")

    with monkeypatch.context() as rejecting:
        rejecting.setattr("cluster.tuning.run_trials.open_studies", reject)
        with pytest.raises(UserError, match="a choice is missing"):
            search(trials=9, resume_mode="resume")
    assert read_settings(tmp_path / "runs" / "trivial") == before


def test_a_resume_without_a_search_starts_one(
    search: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    code, output = search(resume_mode="resume")
    assert code == 0
    assert f"no search to resume: starting {tmp_path / 'runs' / 'trivial'}" in output


def test_an_interrupted_search_is_not_left_locked(
    search: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    def interrupt(*_: Any) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        search(interrupt)
    ledgers.reopen_ledger(tmp_path / "runs" / "trivial").close()
