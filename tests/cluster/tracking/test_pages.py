"""Addresses of MLflow's pages, and the view of a space's runs."""

from __future__ import annotations

import json

import pytest

from cluster.ledger.settings import SearchSettings
from cluster.tracking.pages import (
    COLUMNS,
    experiment_tags,
    format_artifact_page,
    format_experiment_page,
    format_run_page,
)

QUERY = "viewStateShareKey=tunery&workflowType=machine_learning"


@pytest.mark.parametrize(
    ("server", "base"),
    [
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000/"),
        ("https://host/prefix/", "https://host/prefix/"),
        ("http://me:p@ss@host:1", "http://host:1/"),
        ("", ""),
    ],
)
def test_pages_are_below_the_server_without_its_credentials(server: str, base: str) -> None:
    assert format_experiment_page(server, "7") == f"{base}#/experiments/7/runs?{QUERY}"
    run = f"{base}#/experiments/7/runs/ab"
    training = "?workflowType=machine_learning"
    assert format_run_page(server, "7", "ab") == f"{run}{training}"
    artifact = format_artifact_page(server, "7", "ab", "report/report.html")
    assert artifact == f"{run}/artifacts/report/report.html{training}"


def test_the_view_has_score_outcome_and_hyperparameters_and_the_best_first() -> None:
    parameters = {"learning_rate.sgd": {"field": "learning_rate"}, "power": {"field": None}}
    fields = {"learning_rate": "float", "seed": "int"}
    settings = SearchSettings(
        *("toy", "loss", "min", 4, 9),
        parameters=parameters,
        fields=fields,
        provenance={"question": "how *small*?"},
    )
    tags = experiment_tags(settings)
    view = json.loads(tags["mlflow.sharedViewState.tunery"])
    assert view["orderByKey"] == "metrics.`tunery.score`"
    assert view["orderByAsc"]
    assert view["selectedColumns"] == [
        "metrics.`tunery.score`",
        "tags.`outcome`",
        "params.`learning_rate`",
        "params.`suggested.power`",
    ]
    assert tags["mlflow.note.content"] == r"how \*small\*?"


def test_a_large_space_has_a_view_that_mlflow_accepts() -> None:
    parameters = {f"{'long' * 60}{i}": {} for i in range(300)}
    settings = SearchSettings("toy", "loss", "max", 4, 9, parameters=parameters)
    view = experiment_tags(settings)["mlflow.sharedViewState.tunery"]
    assert len(json.loads(view)["selectedColumns"]) == 2 + COLUMNS
    assert len(view) <= 5000  # the most that a tag of an experiment has
