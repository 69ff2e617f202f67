"""Finds the MLflow server: its address, its answer, and words for what goes wrong with it."""

from __future__ import annotations

import logging
import os
from pathlib import Path

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from cluster.storage.redaction import first_line, redact
from trainables.errors import UserError


def default_tracking_uri(storage: Path) -> str:
    """Give the address of the SQLite file in the storage folder."""
    return f"sqlite:///{storage.resolve() / 'mlflow.db'}"


def artifact_location(uri: str, storage: Path) -> str | None:
    """Say where the artifacts of a new experiment go; None: a server knows by itself."""
    own = uri.startswith("sqlite:")
    return (storage.resolve() / "artifacts").as_uri() if own else None


def open_client(uri: str) -> MlflowClient:
    """Open a tracking server; raises UserError within 15 s where it does not answer."""
    if "***" in uri:
        raise UserError(
            f"the tracking server {uri} wants a login, which is written down nowhere\n"
            "give --tracking-uri again as you did at first"
        )
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"  # a line per run, with the login
    for name in ("mlflow", "alembic", "sqlalchemy"):  # what goes wrong is raised, too
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    except Exception as error:
        raise UserError(
            f"the tracking server {redact(uri)} does not answer: {first_line(error)}\n"
            "start it, or leave --tracking-uri out to use a file in the storage folder"
        ) from error
    return client


def find_experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """Find an experiment, bring a deleted one back, or make it; gives its id."""
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:  # another process has made it in between
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    return str(found.experiment_id)


def search_all_runs(client: MlflowClient, experiment: str, query: str) -> list[Run]:
    """Give all runs of an experiment that a query finds, however many pages they fill."""
    found: list[Run] = []
    token: str | None = None
    while True:
        page = client.search_runs([experiment], query, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found
