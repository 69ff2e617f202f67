"""Wrong input: a short message that says what to do, and nothing is created.

The exit code is 2, and 3 where something that exists cannot be read.
"""

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import cluster.tracking.client
import reports.report
from cluster.ledger.ledger import create_ledger
from cluster.ledger.settings import SearchSettings, write_settings
from reports.__main__ import main
from tests.support.make_search import list_openings


def run_with_error(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 2) -> str:
    assert main(list(arguments)) == code
    message = capsys.readouterr().err
    assert "Traceback" not in message
    assert 1 <= len(message.strip().splitlines()) <= 4
    return message


def test_a_missing_database_is_not_created(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = run_with_error(capsys, "digits", "--storage", str(tmp_path / "none"))
    assert "none/mlflow.db" in message
    assert "--storage" in message
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_not_a_database_is_named_and_unchanged(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlflow.db").write_bytes(content)
    message = run_with_error(capsys, "digits", "--storage", str(tmp_path), code=3)
    assert f"cannot open the MLflow database {tmp_path / 'mlflow.db'}" in message
    assert (tmp_path / "mlflow.db").read_bytes() == content


def test_an_unknown_experiment_suggests_similar_names(
    storage: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("digits", "svhn_150k"):
        client.create_experiment(name)
    message = run_with_error(capsys, "digit", "--storage", str(storage))
    assert "'digit'. Did you mean digits?" in message
    assert "There are: digits, svhn_150k." in message


def test_an_experiment_without_a_search_and_a_deleted_one(
    storage: Path, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    number = client.create_experiment("digits")
    assert "contains no search" in run_with_error(capsys, "digits", "--storage", str(storage))
    client.delete_experiment(number)
    assert f"restore -x {number}" in run_with_error(capsys, "digits", "--storage", str(storage))


def test_a_server_that_never_answers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cluster.tracking.client, "DEADLINE", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        message = run_with_error(capsys, "digits", "--tracking-uri", uri, code=3)
        assert time.monotonic() - start < 5
    assert uri in message
    assert "no answer" in message


def test_a_tracking_uri_with_an_unknown_scheme(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nonsense://x" in run_with_error(capsys, "digits", "--tracking-uri", "nonsense://x")


def test_a_search_that_mlflow_lacks_is_on_record(
    storage: Path,
    tmp_path: Path,
    write_search: Callable[..., str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_search([], data=False)
    for place in (storage, tmp_path):  # with a database of other searches, and without one
        settings = SearchSettings("toy", metric="loss", mode="min", trials=2, reports=1)
        ledger = create_ledger(place, settings)
        write_settings(ledger.folder, ledger.settings)
        ledger.close()
        again = f"cluster.tracking rebuild {ledger.folder}\n"
        for words in (["toy"], ["compare", "digits", "toy"], ["evaluate", "toy"]):
            assert again in run_with_error(capsys, *words, "--storage", str(place), code=3)


def test_an_out_folder_that_cannot_be_written(
    storage: Path,
    tmp_path: Path,
    client: MlflowClient,
    write_search: Callable[..., str],
    some_trials: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials[:1])
    (tmp_path / "taken").write_text("a file")
    out = str(tmp_path / "taken")
    message = run_with_error(capsys, "digits", "--storage", str(storage), "--out", out)
    assert "taken cannot be written to" in message
    write_search(some_trials[1:2], {"search_name": "digits-2"})
    words = ("compare", "digits", "digits-2", "--storage", str(storage), "--out", out)
    assert run_with_error(capsys, *words) == message
    assert list_openings(client, parent) == []


def test_predictions_of_other_examples_name_the_run(
    storage: Path,
    tmp_path: Path,
    client: MlflowClient,
    write_search: Callable[..., str],
    some_trials: list[dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    parent = write_search(some_trials[:1])
    other = pa.table({"id": np.arange(400), "target": np.zeros(400, dtype=np.int64)})
    pq.write_table(other, tmp_path / "test.parquet")
    client.log_artifact(parent, str(tmp_path / "test.parquet"), "data")
    arguments = ("digits", "--storage", str(storage), "--out", str(tmp_path / "out"))
    message = run_with_error(capsys, *arguments)
    assert "'digits-000'" in message
    assert "400 of 400 examples have no prediction" in message
    assert list_openings(client, parent) == []
    assert main([*arguments, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_server_that_fails_during_a_report(
    storage: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(*_: object) -> None:
        raise MlflowException("connection reset")

    monkeypatch.setattr(reports.report, "read_search", gone)
    message = run_with_error(capsys, "digits", "--storage", str(storage), code=3)
    assert "could not answer: connection reset" in message
