"""Ray on this machine alone, or a cluster that was named; what runs here is not joined unasked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.paths import ROOT

CLUSTER = """
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
print("address", cluster.address, flush=True)
input()
cluster.shutdown()
"""
JOIN = """
import sys
import ray
from cluster import connection
from trainables.errors import UserError
asked = sys.argv[1] if len(sys.argv) > 1 else None
try:
    connection.connect(asked)
except UserError as error:
    raise SystemExit(f"refused: {error}")
print("joined", ray.get_runtime_context().gcs_address)
print(connection.exposed(asked) if asked else "")
ray.shutdown()
"""


def environment(mode: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": mode}


@contextmanager
def cluster(mode: str) -> Iterator[str]:
    """Start a cluster of one machine that asks for a token or does not; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(mode),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield next(line.split()[1] for line in process.stdout if line.startswith("address"))
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def join(mode: str, *address: str) -> str:
    """Connect in a process of its own, where a token is sent or not; gives what it said."""
    done = subprocess.run(
        [sys.executable, "-c", JOIN, *address],
        capture_output=True,
        text=True,
        env=environment(mode),
        check=False,
    )
    return done.stdout + done.stderr


def test_an_open_cluster_is_joined_where_it_is_named_and_told_to_be_open() -> None:
    with cluster("disabled") as address:
        alone = join("token")
        assert "joined" in alone
        assert address not in alone
        named = join("token", address)
        assert f"joined {address}" in named
        assert "asks for no token" in named


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)


def test_a_cluster_that_asks_for_a_token_is_joined_with_it_alone(token: None) -> None:
    with cluster("token") as address:
        assert "asks for a token" in join("disabled", address)
        named = join("token", address)
        assert f"joined {address}" in named
        assert "asks for no token" not in named
