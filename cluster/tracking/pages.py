"""Addresses of pages of MLflow's UI: the runs of a space, and single runs.

MLflow 3 opens an experiment on an overview of language model traces, and lists its runs without
a metric or a hyperparameter. An address that names the runs and a view opens on both; a view is a
tag of the experiment with the state of the list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from cluster.ledger.settings import SearchSettings
from cluster.storage.redaction import redact_address
from cluster.tracking.description import NOTE, escape_line
from cluster.tracking.names import SUGGESTED, to_mlflow_name, to_own_name

LOCAL_SERVER = "http://127.0.0.1:5000"
"""Where `mlflow ui` answers."""
TRAINING = "workflowType=machine_learning"
"""Without it, the pages beside are those of language model traces."""
VIEW = "tunery"
COLUMNS = 12
"""Hyperparameters of the view; more do not fit on a screen."""


def format_experiment_page(server: str, experiment: str) -> str:
    """Return the address of a space's runs, by the id of its experiment.

    `server` is the http address of a tracking server; its credentials are left out.
    """
    page = f"{_format_base(server)}#/experiments/{experiment}/runs"
    return f"{page}?viewStateShareKey={VIEW}&{TRAINING}"


def format_run_page(server: str, experiment: str, run_id: str) -> str:
    """Return the address of a run; without a server, relative to the pages of its UI."""
    return f"{_format_base(server)}#/experiments/{experiment}/runs/{run_id}?{TRAINING}"


def format_artifact_page(server: str, experiment: str, run_id: str, path: str) -> str:
    """Return the address of an artifact in the artifact view of its run."""
    page = f"{_format_base(server)}#/experiments/{experiment}/runs/{run_id}"
    return f"{page}/artifacts/{path}?{TRAINING}"


def _format_base(server: str) -> str:
    base = redact_address(server).replace("***@", "", 1).rstrip("/")
    return f"{base}/" if base else ""


def experiment_tags(settings: SearchSettings) -> Mapping[str, str]:
    """Return the tags of a space's experiment: its question, and the view of its runs.

    The columns are the score, the outcome, and the searched hyperparameters; the best runs come
    first.
    """
    score = f"metrics.`{to_own_name('score')}`"
    fields = settings.fields or settings.searched
    params = [
        f"params.`{to_mlflow_name(name if name in fields else SUGGESTED + name)}`"
        for name in settings.searched[:COLUMNS]
    ]
    view = {
        "orderByKey": score,
        "orderByAsc": settings.mode == "min",
        "selectedColumns": [score, "tags.`outcome`", *params],
    }
    tags = {
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
        "mlflow.experimentKind": "custom_model_development",
        "mlflow.experiment.primaryMetric.name": to_mlflow_name(settings.metric),
        NOTE: escape_line(settings.provenance.get("question", "")),
    }
    return {key: text for key, text in tags.items() if text}
