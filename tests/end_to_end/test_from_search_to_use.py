"""From a search over its confirmation and report to a model that answers over HTTP, for real."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mlflow
import numpy as np
import pytest
from sklearn.datasets import load_digits

from reports import __main__ as reports

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_from_search_to_use(
    tune: Callable[..., tuple[int, str]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    storage = tmp_path / "runs"
    common = ("--space", "digits", "--storage", storage, "--executor", "inline")
    for words in (
        ("--trials", 6, "--reports", 4, "--set", "epochs=2", "--control", 2),
        ("--confirm", 2, "--seeds", 2),
        ("--trials", 3, "--reports", 4, "--set", "epochs=2", "--fresh", "--seed", 1),
    ):
        code, output = tune(*common, *words)
        assert code == 0, output
    first = Path(storage / "digits" / "confirm")
    assert len(list((first / "trials").iterdir())) in (4, 6)  # the default may be a best one

    uri = f"sqlite:///{storage / 'mlflow.db'}"
    arguments = ["--storage", str(storage), "--debug"]
    out = tmp_path / "report"
    assert reports.main(["digits", *arguments, "--out", str(out), "--html", "--ensemble"]) == 0
    text = (out / "report.md").read_text()
    assert "winner test accuracy: " in text
    assert "<img" in (out / "report.html").read_text()

    assert reports.main(["compare", "digits", "digits-2", *arguments, "--out", str(out)]) == 0
    assert "| digits-2 |" in (out / "compare.md").read_text()

    capfd.readouterr()
    assert reports.main(["export", "digits", *arguments]) == 0
    assert reports.main(["export", "digits", *arguments, "--members", "0", "1"]) == 0
    assert "models:/digits/2" in capfd.readouterr().out
    assert reports.main(["export", "digits", *arguments, "--members", "77"]) == 2

    digits = load_digits()
    pixels = (digits.images[:64, None] * 15).astype(np.uint8)
    mlflow.set_tracking_uri(uri)
    model = mlflow.pyfunc.load_model("models:/digits/2")
    answers = model.predict(pixels)
    assert (answers["label"].astype(int) == digits.target[:64]).mean() > 0.5
    folder = Path(mlflow.artifacts.download_artifacts("models:/digits/2"))
    kinds = {path.suffix for path in folder.rglob("*") if path.is_file()}
    assert not kinds & {".pkl", ".pickle", ".pt", ".pth"}

    with serve("models:/digits/2", uri) as address:
        body = json.dumps({"instances": pixels[:3].tolist()}).encode()
        request = urllib.request.Request(
            f"{address}/invocations", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as reply:
            found = json.loads(reply.read())["predictions"]
    assert [row["label"] for row in found] == answers["label"][:3].tolist()


@contextmanager
def serve(model: str, uri: str) -> Iterator[str]:
    """Start `mlflow models serve` on a free port, yield its address, and stop it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = f"-m mlflow models serve -m {model} --env-manager local --port {port}".split()
    server = subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, "MLFLOW_TRACKING_URI": uri},
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                    break
            except OSError:
                assert server.poll() is None
                assert time.monotonic() < deadline, "the model server did not come up"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=30)
