"""A Ray of the search's own: reached from this machine alone, and ended with the search."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._common.utils import get_default_ray_temp_dir
from ray._private import ray_constants, utils

from cluster.execution.auth_token import ensure_private_token
from trainables.errors import INTERRUPTED, UserError
from trainables.terminal import print_text

WATCH_PERIOD = 1.0
"""Seconds between two looks at Ray's processes."""
PATIENCE = 5.0
"""Seconds after the end of Ray's processes in which the search must have ended by itself."""
SOCKET = "session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"
"""A socket of Ray in its folder for temporary files."""


def start_local_ray(**options: Any) -> None:
    """Start Ray on this machine, without a dashboard; options are those of `ray.init`.

    Raises UserError where the path of its folder for temporary files is too long.
    """
    _check_temporary_folder()
    if os.environ.get("RAY_AUTH_MODE", "token") == "token":  # Ray's default for a new cluster
        ensure_private_token()
    with ExitStack() as stack:
        stack.enter_context(_on_loopback())
        stack.enter_context(_in_own_sessions())
        # Without an address Ray joins any cluster on this machine.
        ray.init(address="local", include_dashboard=False, **options)


def _check_temporary_folder() -> None:
    """Raise UserError where Ray cannot make its sockets; Ray itself would try for a minute."""
    folder = Path(get_default_ray_temp_dir())
    try:
        utils.validate_socket_filepath(str(folder / SOCKET))
    except OSError as error:
        name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), "TMPDIR")
        raise UserError(
            f"{name}={folder.parent} is too long for the sockets of Ray\n"
            f"set {name} to a shorter path, or run a small search with --executor inline"
        ) from error


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


@contextmanager
def watch_local_ray() -> Iterator[None]:
    """End this process where Ray's own processes have ended in this context, and Ray hangs.

    Some batch systems send SIGTERM to every process. Ray's end at once, and its client in this
    process waits a minute for them, in C++, and then ends it without a word. The ledger is
    complete at any time, and MLflow is brought up to date by a resume.
    """
    node = ray._private.worker._global_node
    processes = [info.process for infos in node.all_processes.values() for info in infos]
    left = threading.Event()

    def watch() -> None:
        while all(process.poll() is None for process in processes):
            if left.wait(WATCH_PERIOD):
                return
        if left.wait(PATIENCE):
            return
        print_text(
            "\ninterrupted: Ray has ended; continue with the same command and --resume", sys.stderr
        )
        os._exit(INTERRUPTED)

    threading.Thread(target=watch, name="watch-ray", daemon=True).start()
    try:
        yield
    finally:
        left.set()
