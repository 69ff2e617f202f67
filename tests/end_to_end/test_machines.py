"""A machine that cannot run a search is named before the search has a folder or a run."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cluster.cli import main
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from cluster.ledger.trial_log import Failure
from trainables.errors import UserError

SpaceFile = Callable[..., Path]


def assert_nothing_is_left(storage: Path) -> None:
    assert not list(storage.glob("toy*"))
    assert MlflowClient(f"sqlite:///{storage / 'mlflow.db'}").search_runs(["0", "1"]) == []


@pytest.mark.usefixtures("two_cpus")
def test_a_machine_that_cannot_run_a_search_leaves_nothing_behind(
    space_file: SpaceFile, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shut_down: list[str | None] = []

    @contextmanager
    def connect(address: str | None) -> Iterator[None]:
        try:
            yield
        finally:
            shut_down.append(address)

    monkeypatch.setattr("cluster.execution.prepare_cluster.connect", connect)
    words = ["--space", str(space_file()), "--storage", str(runs)]
    for more in (["--gpus-per-trial", "0.5"], ["--gpus-per-trial", "auto"]):
        assert main([*words, *more]) == 2
    assert len(shut_down) == 2
    assert_nothing_is_left(runs)
    monkeypatch.setattr("cluster.execution.prepare_cluster.check_nodes", fail)
    assert main(words) == 2
    assert_nothing_is_left(runs)


def fail(*_: object) -> None:
    raise UserError("a node does not see the storage")


@pytest.mark.usefixtures("two_cpus")
def test_a_search_whose_trials_all_failed_ends_with_the_first_error(
    space_file: SpaceFile,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail_all(queue: TrialQueue, *_: object) -> bool:
        while not queue.finished and (attempt := queue.next_attempt()):
            trace = f'File "{path}", line 42, in train'
            failure = Failure("failed", "RuntimeError: on purpose", trace)
            queue.record_failure(attempt.trial, failure)
        return queue.ledger.finished

    monkeypatch.setattr("cluster.execution.ray_tuner.run", fail_all)
    path, storage = space_file("SPACE = replace(SPACE, trials=2)"), runs
    for name in ("toy", "toy-2"):
        words = ["--space", str(path), "--storage", str(storage), "--fresh"]
        assert main(words) == 1
        output = capsys.readouterr().out
        assert "2 failed; the first, trial 000: RuntimeError: on purpose (toy.py:42)" in output
        assert f"its traceback is in {storage / name}/trials/000/reports.jsonl\n" in output
        assert "python -m reports" not in output  # there is nothing to report
    monkeypatch.setattr(
        "cluster.execution.prepare_cluster.connect", lambda _: pytest.fail("Ray was started")
    )
    assert main([*words[:-1], "--resume"]) == 1  # nothing left to do


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_an_address_without_a_cluster_is_rejected_at_once(
    space_file: SpaceFile,
    runs: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    words = ["--space", str(space_file()), "--storage", str(runs)]
    with socket.socket() as listener:  # bound, but not listening
        listener.bind(("127.0.0.1", 0))
        unused = address.format(port=listener.getsockname()[1])
        assert main([*words, "--address", unused]) == 2
    assert f"--address {unused}" in capsys.readouterr().err
    assert_nothing_is_left(runs)


@pytest.mark.usefixtures("two_cpus")
def test_a_confirmation_that_is_rejected_is_not_written(
    space_file: SpaceFile, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next confirmation would run its re-runs, too."""
    path = str(space_file())
    monkeypatch.setattr("cluster.execution.ray_tuner.run", lambda *_: False)
    words = ["--space", path, "--storage", str(runs)]
    main(words)
    search = ledgers.reopen_ledger(runs / "toy")
    search.add_trial(0, {}, {"seed": 0})
    search.record_reports(0, [{"report": 1, "metrics": {"loss": 1.0}, "seconds": 1.0}], {})
    search.record_outcome(0, "complete")
    search.close()
    words += ["--confirm", "1", "--seeds", "1"]
    assert main([*words, "--gpus-per-trial", "0.5"]) == 2
    assert not (runs / "toy" / "confirm").exists()

    def complete(queue: TrialQueue, *_: object) -> bool:
        while not queue.finished and (attempt := queue.next_attempt()):
            report = {"report": 1, "metrics": {"loss": 1.0}, "seconds": 1.0}
            queue.record_result(attempt.trial, {"history": [report], "facts": {}})
            queue.record_end(attempt.trial, "complete")
        return queue.ledger.finished

    monkeypatch.setattr("cluster.execution.ray_tuner.run", complete)
    assert main(words) == 0
    monkeypatch.setattr(
        "cluster.execution.prepare_cluster.connect", lambda _: pytest.fail("Ray was started")
    )
    assert main(words) == 0  # nothing left to do
