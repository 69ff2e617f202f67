"""Opening an MLflow server or database file: what must exist, and how long it may take."""

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow.entities import Param
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

import cluster.tracking.client
from cluster.storage.redaction import redact
from cluster.tracking.client import find_experiment, is_refusal, open_client, search_all_runs
from tests.support.paths import ROOT
from trainables.errors import UserError


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    return path


def test_reading_creates_no_database_and_writing_does(database: Path, tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'none' / 'mlflow.db'}"
    with pytest.raises(UserError, match=r"there is no database at .*none/mlflow\.db"):
        open_client(uri, read_only=True)
    assert not (tmp_path / "none").exists()
    client = open_client(f"sqlite:///{database}", read_only=True)
    assert isinstance(client, MlflowClient)
    assert [e.name for e in client.search_experiments()] == ["Default"]


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100])
def test_a_file_that_is_not_a_database_is_named_and_left_alone(
    content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot open the MLflow database .*mlflow\.db: "):
        open_client(f"sqlite:///{path}", read_only=True)
    assert path.read_bytes() == content


@pytest.mark.parametrize("read_only", [True, False])
def test_a_server_that_accepts_and_never_answers_is_left_at_the_deadline(
    read_only: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster.tracking.client, "DEADLINE", 0.5)
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        uri = f"http://me:planted@127.0.0.1:{server.getsockname()[1]}"
        start = time.monotonic()
        with pytest.raises(UserError, match="no answer within") as error:
            open_client(uri, read_only=read_only)
        assert time.monotonic() - start < 5
    assert "planted" not in str(error.value)


def test_only_a_search_gives_up_a_request_after_seconds(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_HTTP_REQUEST_TIMEOUT", raising=False)
    open_client(f"sqlite:///{database}", read_only=True)
    assert "MLFLOW_HTTP_REQUEST_TIMEOUT" not in os.environ
    open_client(f"sqlite:///{database}")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "5"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
    open_client(f"sqlite:///{database}")
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "60"


def test_a_client_works_in_other_threads(database: Path) -> None:
    client = open_client(f"sqlite:///{database}")
    names: list[str] = []
    thread = threading.Thread(
        target=lambda: names.extend(e.name for e in client.search_experiments())
    )
    thread.start()
    thread.join()
    assert names == ["Default"]


def test_importing_the_client_or_reports_imports_no_ray_and_silences_mlflow() -> None:
    program = (
        "import sys, os, reports.report, reports.compare, reports.ensemble, reports.predict, "
        "reports.export; print('ray' in sys.modules, os.environ['MLFLOW_DISABLE_TELEMETRY'], "
        "os.environ['MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR'])"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.split() == ["False", "true", "false"], done.stderr


@pytest.mark.parametrize("silent", [True, False])
def test_a_server_that_does_not_answer_is_named_without_its_password(
    silent: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.tracking.client.DEADLINE", 1.0)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UserError) as error:
            open_client(f"http://me:p@ssword@127.0.0.1:{port}")
    assert f"http://***@127.0.0.1:{port} does not answer" in str(error.value)
    assert "ssword" not in str(error.value)


@pytest.mark.parametrize(
    "uri", ["postgresql://***@host/mlflow", redact("postgresql://host/mlflow?password=planted")]
)
def test_credentials_that_are_not_stored_must_be_given_again(uri: str) -> None:
    with pytest.raises(UserError, match="give --tracking-uri again"):
        open_client(uri)


def test_a_deleted_experiment_is_restored(empty_database: Path, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.write_bytes(empty_database.read_bytes())
    client = open_client(f"sqlite:///{database}")
    experiment = find_experiment(client, "toy")
    assert find_experiment(client, "toy") == experiment
    client.delete_experiment(experiment)
    assert find_experiment(client, "toy") == experiment
    assert client.get_experiment(experiment).lifecycle_stage == "active"


def test_runs_are_found_on_all_pages() -> None:
    class Page(list[int]):
        token: str | None = None

    class Client:
        def search_runs(self, *_: object, page_token: str | None, **__: object) -> Page:
            page = Page([1, 2] if page_token is None else [3])
            page.token = "next" if page_token is None else None
            return page

    client: Any = Client()
    found: list[Any] = search_all_runs(client, "1", "")
    assert found == [1, 2, 3]


class Answering(http.server.BaseHTTPRequestHandler):
    """Answers every request with the status and the body of the server."""

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(self.server.answer[0])  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(self.server.answer[1])  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "INVALID_PARAMETER_VALUE", True),
        (400, "BAD_REQUEST", True),
        (404, "RESOURCE_DOES_NOT_EXIST", True),
        (413, "", False),
        (404, "", False),  # a gateway that has lost its server
        (401, "UNAUTHENTICATED", False),
        (429, "RESOURCE_EXHAUSTED", False),
        (500, "INTERNAL_ERROR", False),
        (503, "TEMPORARILY_UNAVAILABLE", False),
    ],
)
def test_a_refused_request_is_told_from_a_server_in_trouble(
    status: int, code: str, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    body = json.dumps({"error_code": code, "message": "why"}) if code else "<html>why</html>"
    with http.server.HTTPServer(("127.0.0.1", 0), Answering) as server:
        server.answer = status, body.encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.handle_request, daemon=True).start()
        client = MlflowClient(f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(MlflowException) as error:
            client.log_batch("a" * 32, params=[Param("a", "1")])
    assert is_refusal(error.value) == expected
    assert not is_refusal(ConnectionError("gone"))


@pytest.mark.parametrize(
    "body", ["{}", '{"experiments": [], "experiment": {"experiment_id": "1"}}']
)
def test_a_program_that_answers_any_request_is_no_server(body: str) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        server.answer = 200, body.encode()  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(UserError, match=f"{address} does not answer: another program"):
            open_client(address, read_only=True)
        server.shutdown()
