"""What MLflow gets of a trial and of a search, without MLflow."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from cluster.ledger.ledger import Ledger
from cluster.ledger.settings import SearchSettings
from cluster.ledger.trial_log import Failure, Report, TrialLog
from cluster.tracking import run_records
from cluster.tracking.names import NAMING, from_mlflow_params
from cluster.tracking.run_records import DEVICE_SECONDS, LoggedRun

REPORTS = [
    Report(1, 10.0, 1.5, {"loss": 0.5}),
    Report(2, 20.0, 3.0, {"loss": 0.25}),
]


def make_log(**changes: object) -> TrialLog:
    log = TrialLog(0, {}, {"width": 3, "layers": [8, 8], "name": None}, 1.0, reports=REPORTS)
    for name, value in changes.items():
        setattr(log, name, value)
    return log


def make_logged(log: TrialLog, seconds: dict[int, float]) -> LoggedRun:
    return LoggedRun("id", 1000, run_records.run_params(log), {}, seconds, NAMING)


def test_parameters_are_text_that_reads_back() -> None:
    log = make_log()
    assert run_records.run_params(log) == {"width": "3", "layers": "[8, 8]", "name": "None"}
    log.config["text"] = "x" * 6000 + "the end"
    params = run_records.run_params(log)
    assert all(len(value) <= 6000 for value in params.values())
    assert from_mlflow_params(params, NAMING)["text"] == log.config["text"]


def test_parameters_that_are_no_fields_stand_beside_the_configuration() -> None:
    ranges: dict[str, dict[str, object]] = {
        "log2 batch": {"field": None},
        "rate.sgd": {"field": "rate"},
        "older": {},
    }
    derived = run_records.list_derived(
        SearchSettings("toy", "loss", "min", 1, 1, parameters=ranges)
    )
    log = make_log(parameters={"log2 batch": 5, "rate.sgd": 0.1}, config={"batch": 32})
    params = run_records.run_params(log, derived)
    read = from_mlflow_params(params, NAMING)
    assert read == {"batch": "32", "suggested.log2 batch": "5"}
    log.outcome, log.ended = "complete", 30.0
    assert run_records.is_complete(log, 30_000, params, NAMING, derived)
    assert not run_records.is_complete(log, 30_000, params, NAMING)
    logged = LoggedRun("id", 1000, params, {}, {}, NAMING)
    assert not run_records.contradicts(logged, log, False, derived)
    assert run_records.contradicts(logged, log, False)


def test_a_run_is_complete_when_it_has_the_end_and_the_parameters() -> None:
    log = make_log(outcome="complete", ended=30.0)
    params = run_records.run_params(log)
    assert run_records.is_complete(log, 30_000, params, NAMING)
    assert not run_records.is_complete(log, 30_000, params, {})  # an older version's names
    assert not run_records.is_complete(log, None, params, NAMING)
    assert not run_records.is_complete(log, 29_000, params, NAMING)
    assert not run_records.is_complete(log, 30_000, {**params, "width": "4"}, NAMING)
    assert not run_records.is_complete(make_log(), 30_000, params, NAMING)
    assert not run_records.is_complete(None, 30_000, params, NAMING)


@pytest.mark.parametrize(
    ("seconds", "running", "ended"),
    [
        ({}, False, False),
        ({1: 1.5}, False, False),
        ({1: 1.5, 2: 3.0}, False, False),
        ({1: 1.6}, True, True),
        ({1: 1.5, 3: 4.5}, False, True),  # a running trial will make report 3 again
    ],
)
def test_reports_that_the_log_has_not_contradict_it(
    seconds: dict[int, float], running: bool, ended: bool
) -> None:
    log = make_log()
    logged = make_logged(log, seconds)
    assert run_records.contradicts(logged, log, ended=False) == running
    assert run_records.contradicts(logged, log, ended=True) == ended


def test_another_start_or_configuration_contradicts_the_log() -> None:
    log = make_log()
    logged = make_logged(log, {})
    assert run_records.contradicts(logged, make_log(started=2.0), ended=False)
    assert run_records.contradicts(logged, make_log(config={"width": 4}), ended=False)


def test_a_fact_never_stands_for_a_score_or_a_report(begin: Callable[..., Ledger]) -> None:
    facts = {"score": 9.0, "device_seconds": 8.0, "best_report": 7.0}
    log = make_log(outcome="complete", ended=30.0, facts=facts)
    points = run_records.final_points(make_logged(log, {}), begin(), log)
    values = {name: value for name, value, _, _ in points}
    assert (values["tunery.score"], values["tunery.best_report"]) == (0.25, 2.0)
    assert DEVICE_SECONDS not in values
    assert {values[f"tunery.{name}.fact"] for name in facts} == {9.0, 8.0, 7.0}


def test_only_missing_reports_become_points_with_device_seconds_last() -> None:
    logged = make_logged(make_log(), {1: 1.5})
    assert run_records.report_points(logged, REPORTS) == [
        ("loss", 0.25, 20_000, 2),
        (DEVICE_SECONDS, 3.0, 20_000, 2),
    ]


def test_what_a_trial_has_used_is_among_the_system_metrics_of_mlflow() -> None:
    used = replace(REPORTS[0], usage={"cpu_utilization_percentage": 50.0})
    assert run_records.report_points(make_logged(make_log(), {}), [used])[1:] == [
        ("system/cpu_utilization_percentage", 50.0, 10_000, 1),
        (DEVICE_SECONDS, 1.5, 10_000, 1),
    ]


def test_the_totals_of_an_ended_trial_are_written_once(begin: Callable[..., Ledger]) -> None:
    log = make_log(outcome="complete", ended=30.0, facts={"parameters": 7.0})
    logged = make_logged(log, {})
    points = run_records.final_points(logged, begin(), log)
    assert points == [
        ("tunery.parameters", 7.0, 30_000, 0),
        ("tunery.score", 0.25, 30_000, 0),
        ("tunery.best_report", 2.0, 30_000, 0),
    ]
    logged.metrics = {name: value for name, value, _, _ in points}
    assert run_records.final_points(logged, begin(), log) == []


def test_a_failed_trial_has_its_traceback_and_failure_class() -> None:
    log = make_log(attempts=2, spans=[(1.0, 2.0, "host/cpu")])
    assert run_records.trial_tags(log, None) == {
        "attempts": "2",
        "spans": '[[1.0, 2.0, "host/cpu"]]',
    }
    log.failures.append(Failure("out_of_memory", "MemoryError", "x" * 5000 + "MemoryError"))
    log.reason = "out of memory"
    tags = run_records.trial_tags(log, "failed")
    assert (tags["outcome"], tags["reason"]) == ("failed", "out of memory")
    assert tags["failure_class"] == "out_of_memory"
    assert tags["error"].endswith("MemoryError") and len(tags["error"]) == 4000


def test_notes_about_damaged_files_are_a_tag() -> None:
    log = TrialLog(0, {}, {}, 0.0, notes=["last is damaged", "best is missing"])
    assert run_records.trial_tags(log, None)["notes"] == "last is damaged\nbest is missing"


def test_a_search_has_its_settings_and_provenance_as_tags() -> None:
    settings = SearchSettings(
        space="toy",
        metric="loss",
        mode="min",
        trials=4,
        reports=9,
        fixed={"width": 2},
        rungs=(1, 3),
        id="toy-12",
        provenance={"git_commit": "abc+", "source": "real"},
    )
    tags = run_records.search_tags(settings)
    assert tags == {
        "space": "toy",
        "metric": "loss",
        "mode": "min",
        "reports": "9",
        "trials": "4",
        "sampler": "tpe",
        "scheduler": "none",
        "enqueued": "0",
        "seed": "0",
        "rungs": "[1, 3]",
        "fixed": '{"width": 2}',
        "code": "{}",
        "fields": "{}",
        "kind": "search",
        "naming": "2",
        "search": "toy-12",
        "git_commit": "abc+",
        "source": "real",
        "mlflow.source.name": "searchspaces/toy.py",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": "abc",
    }
    assert json.loads(tags["rungs"]) == [1, 3]


def test_the_source_of_a_users_space_is_its_file_without_its_folder() -> None:
    tags = run_records.source_tags("mine", {"space_file": "/home/me/mine.py"})
    assert tags["mlflow.source.name"] == "mine.py"
    assert tags["mlflow.source.git.commit"] == ""


def test_a_run_is_named_by_its_number_and_its_hyperparameters(
    begin: Callable[..., Ledger],
) -> None:
    ranges = {"learning_rate.sgd": {"field": "learning_rate"}, "depth": {}, "power": {}}
    ledger = begin(parameters=ranges)
    drawn = {"learning_rate.sgd": 0.0075432, "depth": 2, "power": 3}
    log = TrialLog(17, drawn, {"learning_rate": 0.0075432, "depth": 2, "seed": 4}, 0.0)
    assert run_records.run_name(ledger, log) == "toy-017 lr=0.007543 depth=2 power=3"
    assert run_records.strip_run_name("my space-017 lr=0.1 a=-017 b", 17) == "my space-017"
    assert run_records.strip_run_name("my space-017", 17) == "my space-017"
    long = TrialLog(3, {}, {"learning_rate": "x" * 500}, 0.0)
    name = run_records.run_name(ledger, long)
    assert name.startswith("toy-003 lr=xxx") and len(name) == run_records.NAME
