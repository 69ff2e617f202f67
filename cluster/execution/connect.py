"""Starts Ray on this machine, or joins a cluster that runs."""

from __future__ import annotations

import logging
import os
import socket
from typing import Any

import ray

from trainables.errors import UserError

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # our ledger is what a search goes on from
    "TUNE_WARN_THRESHOLD_S": "10",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_worker_niceness": "0",  # by default whatever else runs pushes trials aside
}

KNOCK = 5.0  # seconds in which a cluster must answer


def connect(address: str | None) -> None:
    """Start Ray on this machine, or join a running cluster; quietly, without a dashboard.

    Workers get their thread settings before they import torch: a spinning thread pool on a
    shared machine costs up to 100 times the work. Raises UserError where the cluster does not
    answer, or not without its token.
    """
    if address:
        _knock(address)
    os.environ.update(QUIET)
    workers = {**QUIET, "OMP_WAIT_POLICY": "PASSIVE"}
    local: dict[str, Any] = {} if address else {"include_dashboard": False}
    if address:  # as many trials wait as may run at once, which is what an autoscaler goes by
        os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")
    try:
        ray.init(
            address=address or "local",  # with nothing said Ray joins whatever runs here
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={"env_vars": workers},
            **local,
        )
    except ConnectionError as error:
        if "InvalidAuthToken" in str(error.__cause__):
            raise UserError(
                f"the Ray cluster at --address {address} asks for a token\n"
                "put its token into ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
            ) from error
        raise _silent(address, error) from error
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


def _knock(address: str) -> None:
    # Ray waits four minutes for a machine that is not there, and talks of it in C++.
    if address.startswith("ray://"):
        raise UserError(
            f"--address {address}: a search cannot be driven through Ray's client\n"
            "run it on a machine of the cluster with --address auto, or give HOST:6379"
        )
    host, _, port = address.rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK).close()
        except (OSError, OverflowError) as error:
            raise _silent(address, error) from error


def _silent(address: str | None, error: Exception) -> UserError:
    return UserError(
        f"no Ray cluster answers at --address {address}: {error}\n"
        "leave --address out to run on this machine alone"
    )


def warn_if_open(address: str) -> str:
    """Say what an open cluster gives away; nothing where it asks for a token.

    Its workers know, whatever this process has set.
    """
    mode = ray.remote(num_cpus=0)(lambda: os.environ.get("RAY_AUTH_MODE", ""))
    if ray.get(mode.remote()) == "token":
        return ""
    return (
        f"note: the Ray cluster at {address} asks for no token: "
        "whoever reaches it can run code on it, and read what runs there\n"
        "start it with RAY_AUTH_MODE=token on every machine"
    )
