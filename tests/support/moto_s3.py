"""An S3 of moto's on this machine."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def serve_s3(folder: Path) -> Iterator[str]:
    """Start a server with one bucket, and yield its URI; logs go to the folder."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (folder / "log.txt").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", "mocked")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
            patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
            address = f"http://127.0.0.1:{port}"
            deadline = time.monotonic() + 50
            while True:
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                assert time.monotonic() < deadline
                time.sleep(0.1)
            boto3.client("s3", "us-east-1", endpoint_url=address).create_bucket(Bucket="bucket")
            uri = f"s3://bucket/x y?endpoint_override=127.0.0.1:{port}&scheme=http"
            yield uri.replace(" ", "%20")
    finally:
        server.kill()
        server.wait()
        log.close()
