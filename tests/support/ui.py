"""Run `tunery ui` as its user does, and end it."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.paths import ROOT


@contextmanager
def serve(*words: object) -> Iterator[str]:
    """Run `tunery ui` with these words and yield its address; end it by its process id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "trainables.command", "ui", *map(str, words)]
    process = subprocess.Popen(
        [*command, "--port", str(port)], cwd=ROOT, env={**os.environ, "BROWSER": "true"}
    )
    try:
        deadline = time.monotonic() + 100
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)
        with pytest.raises(ConnectionRefusedError):  # nothing that it has started is left
            socket.create_connection(("127.0.0.1", port))
