"""Ray starts on this machine, or joins the cluster that is named, and no other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cluster.execution.connect import check_address, connect
from tests.support.paths import ROOT
from trainables.errors import UserError

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
from cluster.execution import connect
from trainables.errors import UserError
address = sys.argv[1] if len(sys.argv) > 1 else None
try:
    with connect.connect(address):
        print("joined", ray.get_runtime_context().gcs_address)
        print(connect.warn_if_open(address) if address else "")
except UserError as error:
    raise SystemExit(f"rejected: {error}")
print("still connected" if ray.is_initialized() else "disconnected")
"""


def make_environment(mode: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "RAY_AUTH_MODE": mode}


@contextmanager
def start_cluster(mode: str) -> Iterator[str]:
    """Start a cluster of one machine, with or without a token, and yield its address."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=make_environment(mode),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield next(line.split()[1] for line in process.stdout if line.startswith("address"))
    finally:
        process.stdin.close()
        process.wait(timeout=30)


def join(mode: str, *address: str) -> str:
    """Connect in another process, with or without a token, and return its output."""
    done = subprocess.run(
        [sys.executable, "-c", JOIN, *address],
        capture_output=True,
        text=True,
        env=make_environment(mode),
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_cluster_without_a_token_is_joined_only_by_its_address_and_with_a_warning() -> None:
    with start_cluster("disabled") as address:
        alone = join("token")
        assert "joined" in alone
        assert address not in alone
        assert "disconnected" in alone
        named = join("token", address)
        assert f"joined {address}" in named
        assert "needs no token" in named


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123456789abcdef" * 4)


@pytest.mark.slow
def test_a_cluster_with_a_token_is_joined_only_with_it(token: None) -> None:
    with start_cluster("token") as address:
        assert "needs a token" in join("disabled", address)
        named = join("token", address)
        assert f"joined {address}" in named
        assert "needs no token" not in named


@pytest.mark.parametrize(
    "address", ["foo", "http://x", "http://127.0.0.1:8265", "x:", ":6379", "host:\u00b2", " "]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UserError, match=r"RAY_ADDRESS '.*' is no address of a Ray cluster"):
        check_address(address, "RAY_ADDRESS")
    check_address("auto")


def test_no_answer_names_where_the_address_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    with pytest.raises(UserError, match=r"at RAY_ADDRESS 127\.0\.0\.1:1"), connect("127.0.0.1:1"):
        pass
    with pytest.raises(UserError, match=r"at --address 127\.0\.0\.1:2"), connect("127.0.0.1:2"):
        pass


@pytest.mark.parametrize("name", ["TMPDIR", "RAY_TMPDIR"])
def test_a_temporary_folder_too_long_for_ray_is_named(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, f"/tmp/{'x' * 60}")
    with pytest.raises(UserError, match=f"{name}=/tmp/x* is too long"), connect(None):
        pass
