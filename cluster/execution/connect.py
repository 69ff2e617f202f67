"""Start Ray on this machine, or join a running cluster."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ray
from ray._private import ray_constants, utils

from trainables.errors import UserError

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # a search resumes from the ledger
    "TUNE_WARN_THRESHOLD_S": "10",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_worker_niceness": "0",  # by default workers yield to all other processes
}

CONNECT_TIMEOUT = 5.0  # seconds in which a cluster must answer


def connect(address: str | None) -> None:
    """Start Ray on this machine without a dashboard, or join a running cluster.

    Workers get their thread settings before they import torch: a busy-waiting thread pool
    on a shared machine costs up to 100 times the work. Raises UserError where the cluster does not
    answer, or needs a token.
    """
    if address:
        _check_address(address)
    os.environ.update(QUIET)
    workers = {**QUIET, "OMP_WAIT_POLICY": "PASSIVE"}
    common: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": workers},
    }
    try:
        if address:  # pending trials are what an autoscaler scales by
            os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")
            ray.init(address=address, **common)
        else:
            with _on_loopback(), _in_own_sessions():
                # Without an address Ray joins any cluster on this machine.
                ray.init(address="local", include_dashboard=False, **common)
    except ConnectionError as error:
        if "InvalidAuthToken" in str(error.__cause__):
            raise UserError(
                f"the Ray cluster at --address {address} needs a token\n"
                "put it into ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
            ) from error
        raise _no_answer(address, error) from error
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


@contextmanager
def _on_loopback() -> Iterator[None]:
    """Let a Ray that starts in this context listen on the loopback interface alone.

    Its processes listen on all interfaces unless the address of the node is 127.0.0.1. `ray.init`
    replaces that address by another one of the machine, except where Ray allows no clusters,
    which is its default on macOS and Windows.
    """
    allowed = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = allowed


@contextmanager
def _in_own_sessions() -> Iterator[None]:
    """Start the processes of Ray in sessions of their own, out of reach of a group's signals.

    `timeout`, batch systems and a terminal that closes send SIGTERM or SIGHUP to the process group
    of the driver. Ray's processes would end at once, and the driver would wait a minute for them.
    They still end with the driver: Linux kills them when it dies. Elsewhere Ray watches them in
    another way, which needs them in the group, and never calls this function.
    """
    share_fate = utils.set_kill_on_parent_death_linux

    def leave_group_and_share_fate() -> None:
        os.setsid()
        share_fate()

    utils.set_kill_on_parent_death_linux = leave_group_and_share_fate
    try:
        yield
    finally:
        utils.set_kill_on_parent_death_linux = share_fate


def _check_address(address: str) -> None:
    # Ray waits four minutes for an absent machine, and prints C++ messages meanwhile.
    if address.startswith("ray://"):
        raise UserError(
            f"--address {address}: a search cannot run through Ray Client\n"
            "run it on a node of the cluster with --address auto, or give HOST:6379"
        )
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection(
                (host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT
            ).close()
        except (OSError, OverflowError) as error:
            raise _no_answer(address, error) from error


def _no_answer(address: str | None, error: Exception) -> UserError:
    return UserError(
        f"no Ray cluster answers at --address {address}: {error}\n"
        "leave --address out to run on this machine only"
    )


def warn_if_open(address: str) -> str:
    """Return a warning for a cluster without token authentication, else an empty text.

    The mode is read in a worker: this process may have another one set.
    """
    mode = ray.remote(num_cpus=0)(lambda: os.environ.get("RAY_AUTH_MODE", ""))
    if ray.get(mode.remote()) == "token":
        return ""
    return (
        f"note: the Ray cluster at {address} needs no token: "
        "everybody who can connect can run code on it, and read what runs there\n"
        "start it with RAY_AUTH_MODE=token on every node"
    )
