"""What machines cannot do is refused before anything is begun, and what is over asks for none."""

import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from cluster.cli import main
from cluster.execution.trial_queue import TrialQueue
from cluster.ledger import ledger as ledgers
from trainables.errors import UserError

SpaceFile = Callable[..., Path]


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be on a machine of two CPUs without Ray having to start."""
    monkeypatch.setattr("cluster.execution.connect.connect", lambda _: None)
    monkeypatch.setattr("ray.nodes", list)
    monkeypatch.setattr("ray.cluster_resources", lambda: {"CPU": 2.0})


def assert_nothing_is_left(storage: Path) -> None:
    assert not list(storage.glob("toy*"))
    assert MlflowClient(f"sqlite:///{storage / 'mlflow.db'}").search_runs(["0", "1"]) == []


def test_what_the_machines_cannot_do_is_refused_before_anything_is_begun(
    space_file: SpaceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone(monkeypatch)
    shut: list[None] = []
    monkeypatch.setattr("ray.is_initialized", lambda: True)
    monkeypatch.setattr("ray.shutdown", lambda: shut.append(None))
    words = ["--space", str(space_file()), "--storage", str(tmp_path / "runs")]
    for more in (["--gpus-per-trial", "0.5"], ["--gpus-per-trial", "auto"]):
        assert main([*words, *more]) == 2
    assert len(shut) == 2
    assert_nothing_is_left(tmp_path / "runs")
    monkeypatch.setattr("cluster.execution.storage_check.check_nodes", lambda *_: blind())
    assert main(words) == 2
    assert_nothing_is_left(tmp_path / "runs")


def blind() -> None:
    raise UserError("a machine does not see the storage")


def test_a_search_of_which_every_trial_failed_fails_and_says_why(
    space_file: SpaceFile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(attempts: TrialQueue, *_: object) -> bool:
        while not attempts.finished and (attempt := attempts.next()):
            text = f'File "{path}", line 42, in train\nRuntimeError: on purpose'
            attempts.failed(attempt.trial, "failed", text)
        return attempts.ledger.finished

    alone(monkeypatch)
    monkeypatch.setattr("cluster.execution.ray_tuner.run", fail)
    path, storage = space_file("SPACE = replace(SPACE, trials=2)"), tmp_path / "runs"
    for name in ("toy", "toy-2"):
        words = ["--space", str(path), "--storage", str(storage), "--fresh"]
        assert main(words) == 1
        said = capsys.readouterr().out
        assert "2 failed; the first, trial 000: RuntimeError: on purpose (toy.py:42)" in said
        assert f"its traceback is in {storage / name}/trials/000/reports.jsonl\n" in said
        assert f"  python -m reports {name} --storage {storage}\n" in said
    monkeypatch.setattr(
        "cluster.execution.connect.connect", lambda _: pytest.fail("Ray was started")
    )
    assert main([*words[:-1], "--resume"]) == 1  # nothing left to do


@pytest.mark.parametrize("address", ["127.0.0.1:{port}", "ray://127.0.0.1:{port}"])
def test_an_address_with_nothing_there_is_refused_at_once(
    space_file: SpaceFile,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    address: str,
) -> None:
    monkeypatch.setattr("ray.init", lambda **_: pytest.fail("Ray was started"))
    words = ["--space", str(space_file()), "--storage", str(tmp_path / "runs")]
    with socket.socket() as listener:  # bound, and not listened at
        listener.bind(("127.0.0.1", 0))
        given = address.format(port=listener.getsockname()[1])
        assert main([*words, "--address", given]) == 2
    assert f"--address {given}" in capsys.readouterr().err
    assert_nothing_is_left(tmp_path / "runs")


def test_a_confirmation_that_is_refused_is_not_written_down(
    space_file: SpaceFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its points would be run by the next confirmation, too."""
    alone(monkeypatch)
    path = str(space_file())
    monkeypatch.setattr("cluster.execution.ray_tuner.run", lambda *_: False)
    words = ["--space", path, "--storage", str(tmp_path / "runs")]
    main(words)
    found = ledgers.reopen_ledger(tmp_path / "runs" / "toy")
    found.add_trial(0, {}, {"seed": 0})
    found.record_reports(0, [{"report": 1, "metrics": {"loss": 1.0}, "seconds": 1.0}], {})
    found.record_outcome(0, "complete")
    found.close()
    words += ["--confirm", "1", "--seeds", "1"]
    assert main([*words, "--gpus-per-trial", "0.5"]) == 2
    assert not (tmp_path / "runs" / "toy" / "confirm").exists()

    def complete(attempts: TrialQueue, *_: object) -> bool:
        while not attempts.finished and (attempt := attempts.next()):
            report = {"report": 1, "metrics": {"loss": 1.0}, "seconds": 1.0}
            attempts.heard(attempt.trial, {"history": [report], "facts": {}})
            attempts.ended(attempt.trial, "complete")
        return attempts.ledger.finished

    monkeypatch.setattr("cluster.execution.ray_tuner.run", complete)
    assert main(words) == 0
    monkeypatch.setattr(
        "cluster.execution.connect.connect", lambda _: pytest.fail("Ray was started")
    )
    assert main(words) == 0  # nothing left to do
