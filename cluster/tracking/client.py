"""Open an MLflow server or database file: for the driver that writes and for reports that read.

Importing this module sets the environment variables of MLflow that both need.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
from pathlib import Path

# Values that a user has set win. A server that is gone is reported in seconds, not in minutes;
# nothing draws progress bars over the output or sends usage statistics. MLflow reads some of
# these variables when it is imported.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # a line per run, with the login

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.storage.redaction import first_line, redact
from trainables.errors import UserError

WRITE_TIMEOUT = 5
"""Seconds for one request of a search: a server that hangs must not hold up its driver."""
DEADLINE = 12.0
"""Seconds in which a server must answer for the first time."""
FILE_DEADLINE = 60.0
"""The same for a database file, whose tables may have to be created on a busy machine."""


def open_client(uri: str, *, read_only: bool = False) -> MlflowClient:
    """Return a client whose server has answered once.

    With `read_only` a database file must exist; otherwise it is created. Raises UserError within
    15 s where a server does not answer.
    """
    if "***" in uri:
        raise UserError(
            f"the tracking server {uri} needs a login, which is not stored\n"
            "give --tracking-uri again as you did at first"
        )
    for name in ("mlflow", "alembic", "sqlalchemy", "urllib3"):  # errors are raised as well
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if not read_only:  # a report waits for a page of a thousand runs as long as it takes
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(WRITE_TIMEOUT))
    elif uri.startswith("sqlite:"):
        _check_database(uri)
    seconds = FILE_DEADLINE if uri.startswith("sqlite:") else DEADLINE
    answer = _connect(uri, seconds)
    if isinstance(answer, MlflowClient):
        return answer
    why = f"no answer within {seconds:.0f} s" if answer is None else first_line(answer)
    raise UserError(
        f"the tracking server {redact(uri)} does not answer: {why}\n"
        "start it, or name another one with --tracking-uri; without that option a file in the "
        "storage folder is used"
    ) from answer


def _connect(uri: str, seconds: float) -> MlflowClient | Exception | None:
    answer: list[MlflowClient | Exception] = []

    def ask() -> None:
        try:
            client = MlflowClient(tracking_uri=uri)
            client.search_experiments(max_results=1)
            answer.append(client)
        except Exception as error:  # database drivers raise errors of many classes
            answer.append(error)

    # In a thread, since not every kind of server has a timeout that could be set.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else None


def _check_database(uri: str) -> None:
    path = Path(uri.removeprefix("sqlite:///").split("?")[0])
    if not path.is_file():
        raise UserError(
            f"there is no database at {path}\n"
            "run a search first (python -m trainables.tune --space NAME), or name the storage of "
            "a search with --storage DIR or --tracking-uri URI"
        )
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
        try:
            connection.execute("SELECT 1 FROM experiments LIMIT 1")
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise UserError(
            f"{path} is not an MLflow database that can be read: {error}\n"
            "name the database of a search with --storage DIR or --tracking-uri URI"
        ) from error


def find_experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Return the id of an experiment; one that is deleted is restored, a missing one created."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another process has created it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def search_all_runs(client: MlflowClient, experiment: str, query: str) -> list[Run]:
    """Return all runs of an experiment that match a query, over all pages."""
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
