"""Open an MLflow server or database file: for the driver that writes and for reports that read.

Importing this module sets the environment variables of MLflow that both need.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from pathlib import Path

# Values that a user has set win. A server that is gone is reported in seconds, not in minutes;
# nothing draws progress bars over the output or sends usage statistics. MLflow reads some of
# these variables when it is imported.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # a line per run, with the login

from mlflow.entities import Experiment, Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.tracking._tracking_service import utils

from cluster.storage.database_file import (
    artifact_location,
    is_database_file,
    parse_database_path,
)
from cluster.storage.redaction import first_line, redact_address
from cluster.tracking import database
from cluster.tracking.new_database import copy_empty_database
from trainables.collection import import_large
from trainables.errors import UserError

WRITE_TIMEOUT = 5
"""Seconds for one request of a search: a server that hangs must not hold up its driver."""
DEADLINE = 12.0
"""Seconds in which a server must answer for the first time."""
_files: dict[str, tuple[int, int] | None] = {}
"""Device and inode of the database files that MLflow has opened, by their addresses."""
NOT_THE_REQUEST = (401, 403, 407, 408, 425, 429)
"""HTTP statuses that do not say that a request as such is wrong."""


def open_client(uri: str, *, read_only: bool = False) -> MlflowClient:
    """Return a client whose server has answered once.

    With `read_only` a database file must exist; otherwise it is created. Raises UserError within
    15 s where a server does not answer or a database cannot be opened; one that another process
    is creating is waited for, up to `database.CREATION`.
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
    if is_database_file(uri):
        return _open_database(uri, parse_database_path(uri), read_only)
    answer = _connect(uri, DEADLINE)
    if isinstance(answer, MlflowClient):
        return answer
    why = f"no answer within {DEADLINE:.0f} s" if answer is None else first_line(answer)
    raise UserError(
        f"the tracking server {redact_address(uri)} does not answer: {why}\n"
        "start it, or name another one with --tracking-uri; without that option a file in the "
        "storage folder is used"
    ) from answer


def _open_database(uri: str, path: Path, read_only: bool) -> MlflowClient:
    database.check_path(path)
    if read_only:
        database.check_exists(path)
    with database.lock_database(path, read_only):
        database.check_database(path, read_only)
        is_new = database.is_empty(path)
        if is_new:
            copy_empty_database(path)
        place = path if is_new else database.follow_database(path)
        # Creating the tables takes seconds on a quiet machine, and a minute on a busy one.
        seconds = database.CREATION if is_new else DEADLINE
        _forget_replaced(uri, path)
        answer = _connect(uri if place == path else database.format_read_only_uri(place), seconds)
        if not isinstance(answer, MlflowClient):
            raise database.explain_failure(path, answer, seconds) from answer
        if is_new:
            database.follow_database(path, is_new=True)
        _files[uri] = _identify(path)
    # MLflow keeps the place of artifacts by the id of their run, which a copy has, too.
    getattr(utils, "_artifact_repos_cache", {}).clear()
    return answer


def _forget_replaced(uri: str, path: Path) -> None:
    """Let MLflow connect again where the database is another file than the one it has open.

    A process, as that of a notebook, may open it after its folder was moved or deleted.
    """
    if _files.get(uri) in (None, _identify(path)):
        return
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as RegistryStore
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as TrackingStore
    from mlflow.tracking._model_registry import utils as registries

    for store in (TrackingStore, RegistryStore):
        if engine := store._engine_map.pop(uri, None):
            engine.dispose()
    for registry in (utils._tracking_store_registry, registries._get_store_registry()):
        registry._get_store_with_resolved_uri.cache_clear()


def _identify(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _connect(uri: str, seconds: float) -> MlflowClient | Exception | None:
    if not uri.startswith("http"):
        # Before the clock starts: on a busy machine, MLflow's imports take longer than its answer.
        import_large("mlflow.store.tracking.sqlalchemy_store")
    answer: list[MlflowClient | Exception] = []

    def ask() -> None:
        try:
            answer.append(_ask(uri))
        except Exception as error:  # database drivers raise errors of many classes
            answer.append(error)

    # In a thread, since not every kind of server has a timeout that could be set.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    return answer[0] if answer else None


def _ask(uri: str) -> MlflowClient:
    client = MlflowClient(tracking_uri=uri)
    try:
        client.search_experiments(max_results=1)
    except Exception:
        if uri.startswith("http"):
            raise
        time.sleep(1)  # in a database server, another process may be creating the same tables
        client.search_experiments(max_results=1)
    if uri.startswith("http"):
        _check_answers(client)
    return client


def _check_answers(client: MlflowClient) -> None:
    """Raise ValueError where another program than MLflow answers any request with some JSON."""
    with contextlib.suppress(MlflowException):  # an error in MLflow's form, such as a permission
        if client.get_experiment_by_name(uuid.uuid4().hex) is not None:
            raise ValueError("another program than MLflow uses this address")


def is_refusal(error: Exception) -> bool:
    """Return whether a server refuses a request as such, which it would refuse again."""
    if not isinstance(error, MlflowException):
        return False
    if error.error_code == "ENDPOINT_NOT_FOUND":  # a gateway whose server is away
        return False
    status = error.get_http_status_code()
    return 400 <= status < 500 and status not in NOT_THE_REQUEST


def find_experiment(client: MlflowClient, name: str) -> str:
    """Return the id of an experiment; one that is deleted is restored, a missing one created."""
    found = client.get_experiment_by_name(name)
    if found is None:
        location = artifact_location(client.tracking_uri)
        try:
            return str(client.create_experiment(name, artifact_location=location))
        except MlflowException:  # another process has created it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def open_experiment(client: MlflowClient, space: str, search: str) -> tuple[str, Run | None]:
    """Return the id of the experiment of a search, and the run of the search if it has one."""
    if run := find_search(client, search):
        return run.info.experiment_id, run
    experiment = find_experiment(client, space)
    return experiment, _find_in(client, [experiment], search)  # restored with its experiment


def find_search(client: MlflowClient, search: str) -> Run | None:
    """Return the run of a search by its id, in whichever experiment: users rename these."""
    existing: list[Experiment] = []
    token: str | None = ""
    while token is not None:
        page = client.search_experiments(max_results=1000, page_token=token or None)
        existing += page
        token = page.token or None
    return _find_in(client, [experiment.experiment_id for experiment in existing], search)


def _find_in(client: MlflowClient, experiments: list[str], search: str) -> Run | None:
    # Compared here: a filter of MLflow has no way to quote every name.
    found = search_all_runs(client, experiments, "tags.kind = 'search'")
    return next((run for run in found if run.data.tags.get("search") == search), None)


def search_all_runs(client: MlflowClient, experiments: list[str], query: str) -> list[Run]:
    """Return all runs of experiments that match a query, over all pages."""
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs(experiments, query, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
