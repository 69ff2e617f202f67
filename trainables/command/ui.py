"""Start MLflow's UI, or Optuna's dashboard, for the searches of a storage."""

from __future__ import annotations

import importlib.util
import os
import shlex
import signal
import socket
import subprocess
import sys
import webbrowser
from collections.abc import Mapping, Sequence
from contextlib import suppress

from cluster.execution.signals import interrupt_when_asked_to_end
from cluster.ledger.files import list_journals, parse_number
from cluster.storage.searches import find_folder
from cluster.storage.storage import Storage
from trainables.errors import UserError
from trainables.terminal import print_text

LOOPBACK = "127.0.0.1"
WITHOUT_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
"""Keeps MLflow from starting ten processes for jobs that evaluate language models."""
PATIENCE = 10.0
"""Seconds that a server has to end; then it is killed."""


def show_mlflow(storage: Storage, name: str, port: int) -> int:
    """Serve the database of a storage and open the runs of a space; return the exit code.

    A tracking server that answers elsewhere is opened as it is. Raises UserError.
    """
    from cluster.tracking.client import open_client
    from cluster.tracking.pages import format_experiment_page

    uri = storage.tracking_uri
    client = open_client(uri, read_only=True)
    experiments = client.search_experiments()
    own = [e for e in experiments if parse_number(e.name, name)]
    chosen = [e for e in experiments if e.name == name] or own
    if not experiments:
        raise UserError(f"{storage} has no experiment in MLflow\nrun a search: tunery tune digits")
    if name and not chosen:
        known = ", ".join(sorted(e.name for e in experiments if e.name != "Default")) or "none"
        raise UserError(
            f"MLflow has no experiment of {name!r}; it has: {known}\nname one of these spaces"
        )
    latest = max(chosen or experiments, key=lambda e: e.last_update_time or 0)
    is_server = uri.startswith(("http://", "https://"))
    server = uri if is_server else f"http://{LOOPBACK}:{port}"
    page = format_experiment_page(server, latest.experiment_id)
    if is_server:
        return _open(page)
    command = [sys.executable, "-m", "mlflow", "ui", "--host", LOOPBACK, "--port", str(port)]
    command += ["--workers", "1"]
    # In the environment, since every user of the machine can read a command and its passwords.
    return _serve(command, page, port, {"MLFLOW_BACKEND_STORE_URI": uri, **WITHOUT_JOBS})


def show_dashboard(storage: Storage, name: str, port: int) -> int:
    """Serve Optuna's dashboard of a search's study; raises UserError where it is not installed."""
    if not name:
        raise UserError("--optuna shows one search\nname it: tunery ui NAME --optuna")
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise UserError(
            "optuna-dashboard is not installed\ninstall it: pip install 'tunery[dashboard]'"
        )
    folder = find_folder(storage, name)
    journals = list_journals(folder)
    if not journals:
        raise UserError(f"{folder} has no study of Optuna\ncontinue the search with --resume")
    if len(journals) > 1:
        files = "\n".join(f"  optuna-dashboard {shlex.quote(str(path))}" for path in journals)
        raise UserError(f"{folder} has a study of Optuna per arm\nopen one of them:\n{files}")
    from trainables.command.dashboard import make_dashboard

    page = f"http://{LOOPBACK}:{port}/"
    _check_free(port)
    print("starting ...", flush=True)
    with make_dashboard(journals[0], LOOPBACK, port) as server:
        print_text(f"open {page}\nCtrl-C ends it")
        webbrowser.open(page)
        with interrupt_when_asked_to_end(), suppress(KeyboardInterrupt):
            server.serve_forever()
    return 0


def _serve(command: Sequence[str], page: str, port: int, environment: Mapping[str, str]) -> int:
    _check_free(port)
    print_text(f"starting ... open {page}\nCtrl-C ends it")
    all_variables = {**os.environ, "PYTHONSAFEPATH": "1", **environment}
    with interrupt_when_asked_to_end():
        # MLflow leaves its own processes behind when it is ended: they are ended as a group.
        server = subprocess.Popen(command, env=all_variables, start_new_session=True)
        try:
            if _wait_until_it_answers(server, port):
                webbrowser.open(page)
            return server.wait()
        except KeyboardInterrupt:
            return 0
        finally:
            _end_group(server)


def _end_group(server: subprocess.Popen[bytes]) -> None:
    """End a server and all that it has started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, number)
        with suppress(subprocess.TimeoutExpired):
            server.wait(PATIENCE)


def _wait_until_it_answers(server: subprocess.Popen[bytes], port: int) -> bool:
    while server.poll() is None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=1):
                return True
        except OSError:
            try:
                server.wait(0.2)
            except subprocess.TimeoutExpired:
                continue
    return False


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise UserError(
                f"port {port} of this machine is not free: {error.strerror}\n"
                f"end what uses it, or choose another one with --port {port + 1}"
            ) from error


def _open(page: str) -> int:
    print_text(f"open {page}")
    webbrowser.open(page)
    return 0
