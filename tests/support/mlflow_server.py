"""A tracking server for tests, which can go away and come back."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


class Errors(BaseHTTPRequestHandler):
    """Answers every request with an error, as a server whose database is gone does."""

    def do_GET(self) -> None:
        body = b'{"error_code": "INTERNAL_ERROR", "message": "the database is gone"}'
        self.send_response(500)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def serve_errors(address: str) -> Iterator[None]:
    """Answer every request at an address of this machine with an error."""
    host, _, port = address.rpartition(":")
    server = ThreadingHTTPServer((host, int(port)), Errors)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Server:
    """`mlflow server` on a free port of this machine, that can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "mlflow", "server", "--port", str(self.port)]
        command += ["--backend-store-uri", f"sqlite:///{self.folder / 'server.db'}"]
        command += ["--artifacts-destination", str(self.folder / "served"), "--workers", "1"]
        with (self.folder / "server.txt").open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, start_new_session=True, cwd=self.folder
            )
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(f"http://{self.address}/health", timeout=2):
                    return
            except OSError:
                assert time.monotonic() < deadline, (self.folder / "server.txt").read_text()
                time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)  # the session that was started above
            self.process.wait()
            self.process = None
            self._wait_for_port()

    def _wait_for_port(self) -> None:
        """Wait until nothing listens any more: the server's own processes end after it."""
        deadline = time.monotonic() + 60
        while True:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", self.port))
                    return
                except OSError:
                    assert time.monotonic() < deadline, f"port {self.port} is still in use"
            time.sleep(0.2)
