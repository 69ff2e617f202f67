"""The parent run of a search: best trial, description and data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mlflow.tracking import MlflowClient

from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import Failure, Outcome
from cluster.tracking.description import NOTE, REPORT, change_description
from cluster.tracking.parent import best_tags, describe_data, outcome_counts
from tests.support.tracking import write_to_mlflow


def read_parent(uri: str) -> Any:
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.kind = 'search'")
    return run


def test_the_parent_follows_the_best_trial_of_an_extended_search(
    ledger: Ledger, end: Callable[..., None]
) -> None:
    end(0, 0.5)
    end(1, 0.75, "stopped")
    write_to_mlflow(ledger)
    run = read_parent(ledger.settings.tracking_uri)
    assert run.data.tags["best_trial"] == "0"
    assert run.data.metrics["tunery.score"] == 0.5
    end(2, 0.25)
    write_to_mlflow(ledger)
    run = read_parent(ledger.settings.tracking_uri)
    assert run.data.tags["best_trial"] == "2"
    assert json.loads(run.data.tags["best_config"]) == {"width": 2, "seed": 0}
    assert run.data.metrics["tunery.score"] == 0.25
    assert run.data.metrics["tunery.best_trial"] == 2
    assert "2 complete, 1 stopped" in run.data.tags[NOTE]
    client = MlflowClient(ledger.settings.tracking_uri)
    for key, text in change_description(run.data.tags, REPORT, "[Report](#/x)").items():
        client.set_tag(run.info.run_id, key, text)
    end(3, 0.125)
    write_to_mlflow(ledger)
    note = read_parent(ledger.settings.tracking_uri).data.tags[NOTE]
    assert "3 complete, 1 stopped" in note
    assert note.endswith("[Report](#/x)")


def test_the_data_of_a_search_are_its_input_in_mlflow_once(
    begin: Callable[..., Ledger], database: str
) -> None:
    known = {"data_fingerprint": "feed" * 20, "source": "real"}
    ledger = begin(tracking_uri=database, provenance=known)
    (ledger.folder / "data").mkdir()
    pq.write_table(pa.table({"id": [0, 1]}), ledger.folder / "data" / "test.parquet")
    for _ in range(2):
        write_to_mlflow(ledger)
    (found,) = read_parent(database).inputs.dataset_inputs
    assert (found.dataset.name, found.dataset.digest) == ("toy", ("feed" * 20)[:36])
    assert json.loads(found.dataset.profile) == {"test": 2}
    assert json.loads(found.dataset.source) == {"data": "real"}


def test_a_damaged_file_of_data_has_no_size(begin: Callable[..., Ledger]) -> None:
    ledger = begin(provenance={"data_fingerprint": "feed"})
    (ledger.folder / "data").mkdir()
    pq.write_table(pa.table({"id": [0, 1]}), ledger.folder / "data" / "test.parquet")
    (ledger.folder / "data" / "validation.parquet").write_bytes(b"PAR1")
    (found,) = describe_data(ledger)
    assert json.loads(found.dataset.profile) == {"test": 2}


def test_data_without_a_fingerprint_are_no_input(begin: Callable[..., Ledger]) -> None:
    assert describe_data(begin()) == []


def test_nothing_in_a_question_or_a_value_is_markup(begin: Callable[..., Ledger]) -> None:
    ledger = begin(provenance={"question": "[a](b) <img src=x>\n# c"}, metric="lo`ss")
    log = ledger.add_trial(0, {}, {"name": "~~~\n<script>"})
    ledger.record_reports(0, [{"report": 1, "seconds": 1.0, "metrics": {"lo`ss": 0.5}}], {})
    ledger.record_outcome(0, "complete")
    note = best_tags(ledger, log, "#/ab", {})[NOTE]
    assert note.startswith(r"\[a\](b) \<img src=x\> \# c")
    assert "`lo'ss` 0.5 at report 1" in note
    assert [line for line in note.splitlines() if line.startswith("~~~")] == ["~~~json", "~~~"]


def test_outcomes_are_counted(begin: Callable[..., Ledger]) -> None:
    ledger = begin()
    outcomes: list[Outcome | None] = ["complete", "complete", "failed", None]
    for trial, outcome in enumerate(outcomes):
        ledger.add_trial(trial, {}, {})
        if trial in (1, 2):
            ledger.record_failure(trial, Failure("failed", "", ""))
        if outcome:
            ledger.record_outcome(trial, outcome)
    counts = {name: value for name, value, _, _ in outcome_counts(ledger, 5)}
    assert counts == {
        "tunery.complete": 2,
        "tunery.stopped": 0,
        "tunery.diverged": 0,
        "tunery.failed": 1,
        "tunery.infeasible": 5,
        "tunery.retried": 2,
    }
