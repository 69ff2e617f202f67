"""Start Ray on this machine, or join a running cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray

from cluster.execution.local_ray import start_local_ray, watch_local_ray
from cluster.execution.time_limits import CLEANUP_LIMIT
from trainables.errors import UserError
from trainables.shadowing import HOME, find_shadows

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # a search resumes from the ledger
    "TUNE_WARN_THRESHOLD_S": "10",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_FORCE_TRIAL_CLEANUP_S": f"{CLEANUP_LIMIT:.0f}",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # of attempts whose result no longer matters
    "RAY_worker_niceness": "0",  # by default workers yield to all other processes
}

CONNECT_TIMEOUT = 5.0  # seconds in which a cluster must answer


@contextmanager
def connect(address: str | None) -> Iterator[None]:
    """Start Ray on this machine or join a running cluster, for the length of the context.

    Raises UserError where the cluster does not answer, or needs a token.
    """
    with ExitStack() as stack:
        stack.callback(_disconnect)
        _connect(address)
        if not address:
            stack.enter_context(watch_local_ray())
        yield


def _connect(address: str | None) -> None:
    # Workers get their thread settings before they import torch: a busy-waiting thread pool on a
    # shared machine costs up to 100 times the work.
    option = "RAY_ADDRESS" if address == os.environ.get("RAY_ADDRESS") else "--address"
    if address:
        check_address(address, option)
    os.environ.update(QUIET)
    workers = {**QUIET, "OMP_WAIT_POLICY": "PASSIVE"}
    options: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": workers},
    }
    if find_shadows(Path.cwd()):
        options["job_config"] = _prefer_installed_packages()
    try:
        with _keep_handler_of_sigterm():
            if address:  # pending trials are what an autoscaler scales by
                os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "200")
                ray.init(address=address, **options)
            else:
                start_local_ray(**options)
    except UserError:
        raise
    except Exception as error:  # Ray has no type for it
        if address and not isinstance(error, ConnectionError):
            raise
        if address and "InvalidAuthToken" in str(error.__cause__):
            raise UserError(
                f"the Ray cluster at {option} {address} needs a token\n"
                "put it into ~/.ray/auth_token, and set RAY_AUTH_MODE=token"
            ) from error
        if address:
            raise _no_answer(option, address, error) from error
        raise UserError(
            f"Ray does not start on this machine: {error}\n"
            "try again when it is less busy, or run a small search with --executor inline"
        ) from error
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


class _InstalledFirst(list[str]):
    """Folders that workers put in front of their path, one by one: the last one comes first."""

    def extend(self, folders: Iterable[str]) -> None:
        """Add what Ray adds, the working directory, and behind it the folder of Tunery."""
        super().extend([*folders, str(HOME)])


def _prefer_installed_packages() -> Any:
    """Return settings with which a folder of the user hides no package of Tunery in workers."""
    settings = ray.job_config.JobConfig()
    settings._py_driver_sys_path = _InstalledFirst()
    return settings


def _disconnect() -> None:
    if ray.is_initialized():
        ray.shutdown()


@contextmanager
def _keep_handler_of_sigterm() -> Iterator[None]:
    """Undo that `ray.init` installs a handler of its own, which raises SystemExit."""
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM)
    try:
        yield
    except SystemExit as error:  # SIGTERM has come meanwhile
        raise KeyboardInterrupt from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, handler)


def find_version() -> str:
    """Return the version of Ray, which this has imported."""
    version: str = ray.__version__
    return version


def find_local_cluster() -> str | None:
    """Return the address of the cluster on this machine that `auto` means, None without one."""
    running = ray._private.services.find_gcs_addresses()
    address: str | None = ray._private.services.find_bootstrap_address(None)
    return address or next(iter(running), None)


def check_address(address: str, option: str = "--address") -> None:
    """Raise UserError where no cluster answers at an address, which `option` has named."""
    # Ray waits four minutes for an absent machine, and prints C++ messages meanwhile.
    if address.startswith("ray://"):
        raise UserError(
            f"{option} {address}: a search cannot run through Ray Client\n"
            "run it on a node of the cluster with --address auto, or give HOST:6379"
        )
    if address in ("auto", "local"):
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not re.fullmatch("[0-9]{1,9}", port):
        raise UserError(
            f"{option} {address!r} is no address of a Ray cluster\n"
            "give HOST:6379, or auto for the cluster of this machine"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_TIMEOUT).close()
    except (OSError, OverflowError) as error:
        raise _no_answer(option, address, error) from error


def _no_answer(option: str, address: str | None, error: Exception) -> UserError:
    return UserError(
        f"no Ray cluster answers at {option} {address}: {error}\n"
        f"{'unset' if option.isupper() else 'leave out'} {option} to run on this machine only"
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
