"""The MLflow writer: every trial once, whatever crashed or was away."""

from __future__ import annotations

import math
import shutil
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE
from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger import trial_log
from cluster.ledger.damage import INDEX
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.tracking import batches, run_records, writer
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter
from reports.read.records import read_curves, read_search
from reports.read.winner import rank_trials
from searchspaces.json_text import to_text
from tests.support.tracking import read_runs, write_to_mlflow
from trainables.errors import UnreadableError, UserError

Finish = Callable[..., None]


def test_every_outcome_has_its_run_with_all_its_numbers(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25, "complete")
    end(1, 0.5, "stopped")
    end(2, float("nan"), "diverged")
    end(3, 0.75, "failed")
    assert write_to_mlflow(ledger) is None
    runs = read_runs(ledger.settings.tracking_uri)
    statuses = {name: (run["status"], run["tags"].get("outcome")) for name, run in runs.items()}
    assert statuses == {
        "toy": ("FINISHED", None),
        "toy-000": ("FINISHED", "complete"),
        "toy-001": ("FINISHED", "stopped"),
        "toy-002": ("FAILED", "diverged"),
        "toy-003": ("FAILED", "failed"),
    }
    first = runs["toy-000"]
    assert first["params"] == {"width": "0", "seed": "0"}
    assert [(step, value) for step, value, _ in first["metrics"]["loss"]] == [(1, 1.25), (2, 0.25)]
    assert [value for _, value, _ in first["metrics"]["tunery.device_seconds"]] == [1.5, 3.0]
    assert first["metrics"]["tunery.score"][0][1] == 0.25
    assert first["metrics"]["tunery.best_report"][0][1] == 2.0
    assert first["metrics"]["tunery.parameters"][0][1] == 3.0
    assert first["artifacts"] == {
        "checkpoint/episode.gif",
        "checkpoint/manifest.json",
        "checkpoint/state-2.safetensors",
        "predictions/validation.parquet",
    }
    assert "RuntimeError: on purpose" in runs["toy-003"]["tags"]["error"]
    assert len(runs["toy-002"]["metrics"]["loss"]) == 2
    assert runs["toy-002"]["artifacts"] == set()
    parent = runs["toy"]
    counts = {key: history[-1][1] for key, history in parent["metrics"].items()}
    outcomes = ("complete", "stopped", "diverged", "failed", "retried")
    assert counts == {
        **dict.fromkeys((f"tunery.{outcome}" for outcome in outcomes), 1),
        "tunery.infeasible": 7,
        "tunery.score": 0.25,
        "tunery.best_trial": 0,
    }
    assert parent["tags"]["question"] == "how small?"
    assert parent["tags"]["best_config"] == '{"width": 0, "seed": 0}'
    assert "**Best trial: [000](#/experiments/1/runs/" in parent["tags"]["mlflow.note.content"]
    assert parent["artifacts"] == {"data/test.parquet"}


def test_writing_again_changes_nothing(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    end(1, 0.5, "stopped")
    write_to_mlflow(ledger)
    once = read_runs(ledger.settings.tracking_uri)
    write_to_mlflow(ledger)
    tracker = MLflowWriter(open_client(ledger.settings.tracking_uri), ledger, lambda: 7)
    tracker.start()
    tracker.touch(0)  # writes everything again
    tracker.close(finished=True)
    again = read_runs(ledger.settings.tracking_uri)
    for runs in (once, again):
        runs["toy"].pop("metrics")  # counted again, at a later time
    assert again == once


@pytest.mark.parametrize("after", ["create_run", "log_batch", "log_artifact", "set_terminated"])
def test_a_resume_completes_what_a_killed_writer_left(
    ledger: Ledger,
    end: Finish,
    make_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    after: str,
) -> None:
    end(0, 0.25)
    end(1, 0.5)
    monkeypatch.setattr(batches, "MAX_METRICS", 2)

    class Killed(BaseException):
        pass

    client = open_client(ledger.settings.tracking_uri)
    tracker = MLflowWriter(client, ledger, lambda: 7)
    tracker._thread = threading.Thread()  # the writing is done here, one call after the other
    done = getattr(client, after)

    def die(*args: Any, **kwargs: Any) -> None:
        done(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(client, after, die)
    with pytest.raises(Killed):
        tracker.start()
        for trial_log in ledger.trial_logs.values():
            tracker._write(trial_log)
    assert write_to_mlflow(ledger) is None
    was, undisturbed = ledger.settings.tracking_uri, make_database()
    ledger.settings = replace(ledger.settings, tracking_uri=undisturbed)
    write_to_mlflow(ledger)
    repaired, whole = read_runs(was), read_runs(undisturbed)
    for runs in (repaired, whole):
        runs["toy"].pop("metrics")
    assert repaired == whole


def test_parameters_that_a_killed_writer_left_out_are_written_by_a_resume(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(0, 0.25)
    client = open_client(ledger.settings.tracking_uri)
    tracker = MLflowWriter(client, ledger, lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "log_batch", die)
    with pytest.raises(KeyboardInterrupt):
        tracker._write(ledger.trial_logs[0])
    assert write_to_mlflow(ledger) is None
    run = read_runs(ledger.settings.tracking_uri)["toy-000"]
    assert (run["status"], run["params"]) == ("FINISHED", {"width": "0", "seed": "0"})


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("config", [{"width": 9}, {"width": 0, "seed": 0}])
def test_a_new_trial_with_the_number_of_a_lost_one_has_nothing_of_it(
    ledger: Ledger,
    end: Finish,
    reopen: Callable[[Ledger], Ledger],
    ended: bool,
    config: dict[str, Any],
) -> None:
    if ended:
        end(0, 0.25)
    else:
        ledger.add_trial(0, {}, {"width": 0, "seed": 0})
        ledger.add_attempt(0)
        ledger.record_reports(0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 5.0}}], {})
    write_to_mlflow(ledger, finished=False)
    shutil.rmtree(ledger.folder / "trials" / "000")
    (ledger.folder / INDEX).unlink()
    again = reopen(ledger)
    again.add_trial(0, {}, config)
    again.add_attempt(0)
    again.record_reports(0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 7.0}}], {})
    again.record_outcome(0, "complete")
    assert write_to_mlflow(again) is None
    run = read_runs(again.settings.tracking_uri)["toy-000"]
    assert run["params"] == {key: str(value) for key, value in config.items()}
    assert [(step, value) for step, value, _ in run["metrics"]["loss"]] == [(1, 7.0)]
    assert [value for _, value, _ in run["metrics"]["tunery.score"]] == [7.0]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(("seconds", "loss"), [(3.0, 0.25), (4.0, 0.125)])
def test_a_report_that_was_lost_and_made_again_is_one_point(
    ledger: Ledger,
    reopen: Callable[[Ledger], Ledger],
    ended: bool,
    seconds: float,
    loss: float,
) -> None:
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    ledger.record_reports(
        0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 1.25}}], {"size": 3.0}
    )
    ledger.record_reports(0, [{"report": 2, "seconds": 3.0, "metrics": {"loss": 0.25}}], {})
    if ended:
        ledger.record_outcome(0, "complete")
    write_to_mlflow(ledger, finished=ended)
    file = ledger.folder / "trials" / "000" / "reports.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: -2 if ended else -1]))
    again = reopen(ledger)
    # The same report once more, or that of another attempt, which took another time.
    again.record_reports(0, [{"report": 2, "seconds": seconds, "metrics": {"loss": loss}}], {})
    again.record_outcome(0, "complete")
    assert write_to_mlflow(again) is None
    run = read_runs(again.settings.tracking_uri)["toy-000"]
    points = {key: [(s, v) for s, v, _ in history] for key, history in run["metrics"].items()}
    assert points == {
        "loss": [(1, 1.25), (2, loss)],
        "tunery.device_seconds": [(1, 1.5), (2, seconds)],
        "tunery.size": [(0, 3.0)],
        "tunery.score": [(0, loss)],
        "tunery.best_report": [(0, 2.0)],
    }


def test_a_report_that_arrives_while_a_trial_is_written_is_not_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(TrialLog):
        """The last report and the outcome arrive just after `reports` was read."""

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == "reports" and not finished.is_set():
                finished.set()
                value = list(value)
                ledger.record_reports(
                    0, [{"report": 2, "seconds": 3.0, "metrics": {"loss": 0.25}}], {}
                )
                ledger.record_outcome(0, "complete")
            return value

    finished = threading.Event()
    finished.set()
    monkeypatch.setattr(trial_log, "TrialLog", Busy)
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    ledger.record_reports(0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 1.25}}], {})
    tracker = MLflowWriter(open_client(ledger.settings.tracking_uri), ledger, lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()
    finished.clear()
    tracker._write(ledger.trial_logs[0])  # and the driver is killed
    assert ledger.trial_logs[0].outcome == "complete"
    assert write_to_mlflow(ledger) is None
    run = read_runs(ledger.settings.tracking_uri)["toy-000"]
    assert [step for step, _, _ in run["metrics"]["loss"]] == [1, 2]
    assert run["status"] == "FINISHED"


def test_an_ordinary_search_makes_few_requests(ledger: Ledger, end: Finish) -> None:
    class Counting:
        def __init__(self) -> None:
            self.client = open_client(ledger.settings.tracking_uri)
            self.calls: Counter[str] = Counter()

        def __getattr__(self, name: str) -> Any:
            self.calls[name] += 1
            return getattr(self.client, name)

    first, resumed = Counting(), Counting()
    for trial in range(4):
        end(trial, 0.25)
    assert write_to_mlflow(ledger, client=first) is None
    assert first.calls["create_run"] == 1 + 4  # a parent
    assert first.calls["log_batch"] == 1 + 4
    assert first.calls["search_runs"] == 6, "a new trial needs no query"
    assert first.calls["get_metric_history"] == first.calls["delete_run"] == 0
    assert write_to_mlflow(ledger, client=resumed) is None
    assert resumed.calls["log_batch"] == 1
    assert resumed.calls["search_runs"] == 5
    assert resumed.calls["create_run"] == resumed.calls["get_metric_history"] == 0


def test_an_interrupted_search_leaves_no_running_run(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    ledger.add_trial(1, {}, {"width": 9})
    ledger.add_attempt(1)
    assert write_to_mlflow(ledger, finished=False) is None
    runs = read_runs(ledger.settings.tracking_uri)
    assert {run["status"] for run in runs.values()} == {"FINISHED", "KILLED"}
    assert (runs["toy"]["status"], runs["toy-001"]["status"]) == ("KILLED", "KILLED")
    assert "outcome" not in runs["toy-001"]["tags"]
    ledger.record_outcome(1, "complete")
    write_to_mlflow(ledger)
    runs = read_runs(ledger.settings.tracking_uri)
    assert {run["status"] for run in runs.values()} == {"FINISHED"}


def test_only_the_best_trials_have_weights_also_after_an_extension(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT_WEIGHTS", 2)

    def with_weights() -> set[str]:
        runs = read_runs(ledger.settings.tracking_uri)
        have = {n for n, run in runs.items() if "checkpoint/manifest.json" in run["artifacts"]}
        assert have == {n for n, r in runs.items() if "checkpoint/episode.gif" in r["artifacts"]}
        assert have == {n for n, run in runs.items() if run["tags"].get("weights") == "yes"}
        assert all(
            "predictions/validation.parquet" in run["artifacts"]
            for n, run in runs.items()
            if n != "toy"
        )
        return have

    for trial, loss in enumerate((0.3, 0.1, 0.2)):
        end(trial, loss)
    write_to_mlflow(ledger)
    assert with_weights() == {"toy-001", "toy-002"}
    end(3, 0.15)
    end(4, 0.9)
    write_to_mlflow(ledger)
    assert with_weights() == {"toy-001", "toy-003"}


class UnreachableClient:
    """A client whose server does not answer the first calls that write metrics."""

    def __init__(self, client: MlflowClient, calls: float) -> None:
        self.client, self.calls = client, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def log_batch(self, *args: Any, **kwargs: Any) -> None:
        if self.calls > 0:
            self.calls -= 1
            raise ConnectionError("no answer from http://me:secret@host/api")
        self.client.log_batch(*args, **kwargs)


def test_a_server_that_was_away_gets_everything_later(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)
    end(1, 0.5)
    client = UnreachableClient(open_client(ledger.settings.tracking_uri), 5)
    assert write_to_mlflow(ledger, client=client) is None
    assert client.calls == 0
    runs = read_runs(ledger.settings.tracking_uri)
    assert {name: run["status"] for name, run in runs.items()} == dict.fromkeys(
        ("toy", "toy-000", "toy-001"), "FINISHED"
    )
    assert len(runs["toy-001"]["metrics"]["loss"]) == 2


def test_a_run_that_was_created_by_a_failed_request_is_found(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)

    class FailingClient(UnreachableClient):
        def create_run(self, *args: Any, **kwargs: Any) -> Any:
            made = self.client.create_run(*args, **kwargs)
            if "trial" in args[2] and self.calls > 0:
                self.calls -= 1
                raise ConnectionError("the answer was lost")
            return made

    client = FailingClient(open_client(ledger.settings.tracking_uri), 1)
    assert write_to_mlflow(ledger, client=client) is None
    assert client.calls == 0
    assert read_runs(ledger.settings.tracking_uri).keys() == {"toy", "toy-000"}


def test_of_duplicate_runs_the_complete_one_stays(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    write_to_mlflow(ledger)
    whole = read_runs(ledger.settings.tracking_uri)
    client = open_client(ledger.settings.tracking_uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    (parent,) = client.search_runs([experiment.experiment_id], "tags.kind = 'search'")
    tags = {"kind": "trial", "trial": "0", "mlflow.parentRunId": parent.info.run_id}
    for start in (1, 2**41):  # sorted before and after the complete one
        client.create_run(experiment.experiment_id, start, tags, run_name="toy-000")
    assert write_to_mlflow(ledger) is None
    again = read_runs(ledger.settings.tracking_uri)
    assert again["toy-000"] == whole["toy-000"]


def test_a_slow_server_is_waited_for_as_long_as_it_accepts_something(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    for trial in range(4):
        end(trial, 0.25)

    class Clock:
        now = 0.0
        time = staticmethod(time.time)

        def monotonic(self) -> float:
            return self.now

    clock = Clock()
    client = open_client(ledger.settings.tracking_uri)
    rejected, log_batch = set(), client.log_batch

    def slow(run_id: str, **what: Any) -> None:
        if what.get("params") and run_id not in rejected:
            rejected.add(run_id)
            clock.now += 50  # less than the patience, but not all trials together
            time.sleep(0.05)  # `close` looks at the clock meanwhile
            raise ConnectionError("busy")
        log_batch(run_id, **what)

    monkeypatch.setattr(writer, "time", clock)
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    monkeypatch.setattr(client, "log_batch", slow)
    assert write_to_mlflow(ledger, client=client) is None
    assert len(rejected) == 4
    runs = read_runs(ledger.settings.tracking_uri)
    assert {run["status"] for run in runs.values()} == {"FINISHED"}


def test_a_server_that_stays_away_is_named_with_the_command_that_writes_again(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)
    client = UnreachableClient(open_client(ledger.settings.tracking_uri), float("inf"))
    problem = write_to_mlflow(ledger, client=client, patience=0.2)
    assert problem is not None
    assert "no answer from http://***@host" in problem
    assert "secret" not in problem
    assert f"python -m cluster.tracking rebuild {ledger.folder}" in problem
    assert write_to_mlflow(ledger) is None
    assert read_runs(ledger.settings.tracking_uri)["toy-000"]["status"] == "FINISHED"


def test_without_patience_the_writer_gives_up_at_once(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    client = UnreachableClient(open_client(ledger.settings.tracking_uri), 100)
    assert write_to_mlflow(ledger, client=client, patience=0.0) is not None
    assert client.calls >= 97


def test_a_server_that_goes_away_at_the_end_is_a_message(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(0, 0.25)

    def away(self: MLflowWriter) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(MLflowWriter, "upload_best", away)
    problem = write_to_mlflow(ledger)
    assert problem is not None
    assert "is not complete: gone" in problem


class RefusingClient:
    """A client whose server does not accept what is written to one trial."""

    def __init__(self, client: MlflowClient, trial: str, error: Exception) -> None:
        self.client, self.trial, self.error = client, trial, error
        self.refused: set[str] = set()
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def create_run(self, *args: Any, **kwargs: Any) -> Any:
        made = self.client.create_run(*args, **kwargs)
        if args[2].get("trial") == self.trial:
            self.refused.add(made.info.run_id)
        return made

    def log_batch(self, run_id: str, **content: Any) -> None:
        if run_id in self.refused:
            self.calls += 1
            raise self.error
        self.client.log_batch(run_id, **content)


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("Invalid value: no", error_code=INVALID_PARAMETER_VALUE),
        MlflowException("Invalid value: no", error_code=INTERNAL_ERROR),  # of the server's code
        ValueError("Invalid value: no"),
    ],
)
def test_a_trial_that_mlflow_refuses_holds_up_no_other_one(
    ledger: Ledger, end: Finish, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    for trial in range(4):
        end(trial, 0.25)
    client = RefusingClient(open_client(ledger.settings.tracking_uri), "1", error)
    problem = write_to_mlflow(ledger, client=client, patience=0.5)
    assert problem is not None
    assert "trial 001: " in problem and "Invalid value: no" in problem
    assert "trial 000" not in problem
    assert f"rebuild {ledger.folder}" in problem
    runs = read_runs(ledger.settings.tracking_uri)
    statuses = {name: run["status"] for name, run in runs.items()}
    assert statuses.pop("toy-001") == "KILLED"
    assert statuses == dict.fromkeys(("toy", "toy-000", "toy-002", "toy-003"), "FINISHED")
    assert write_to_mlflow(ledger) is None  # when the reason is gone
    run = read_runs(ledger.settings.tracking_uri)["toy-001"]
    assert (run["status"], len(run["metrics"]["loss"])) == ("FINISHED", 2)


def test_a_refused_trial_is_left_alone_until_the_end(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)
    error = MlflowException("no", error_code=INVALID_PARAMETER_VALUE)
    client: Any = RefusingClient(open_client(ledger.settings.tracking_uri), "0", error)
    tracker = MLflowWriter(client, ledger, lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()
    for _ in range(5):
        tracker._write_all(is_ending=False)
    assert (client.calls, tracker.behind) == (2, "")
    tracker._write_all(is_ending=True)
    assert client.calls == 3


def test_a_run_that_was_deleted_in_mlflow_is_written_again(ledger: Ledger, end: Finish) -> None:
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    ledger.record_reports(0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 1.25}}], {})
    client = open_client(ledger.settings.tracking_uri)
    tracker = MLflowWriter(client, ledger, lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()
    tracker._write_all(is_ending=False)
    client.delete_run(tracker._runs[0])
    ledger.record_reports(0, [{"report": 2, "seconds": 3.0, "metrics": {"loss": 0.25}}], {})
    ledger.record_outcome(0, "complete")
    tracker.touch(0)
    for _ in range(2):
        tracker._write_all(is_ending=False)
    run = read_runs(ledger.settings.tracking_uri)["toy-000"]
    assert [step for step, _, _ in run["metrics"]["loss"]] == [1, 2]


def test_names_and_values_of_every_kind_are_in_mlflow_and_in_reports(ledger: Ledger) -> None:
    reported = {
        **{"loss": 0.5, "score": 9.0, "tunery.score": 8.0, "best_report": 7.0, "report": 6.0},
        **{"parameters": 5.0, "device_seconds": 4.0, "acc@1": 3.0, "f1 (macro)": 2.0, "": 1.0},
        **{"a//b": 1.0, "../../etc": 1.0, "x" * 300: 1.0, "\u65e5\U0001f600": 1.0},
        **{f"layer {n}": float(n) for n in range(1500)},
    }
    config = {
        **{"text": "a\nb\0c\U0001f600" * 2000, "x" * 300: 1, "choice": "[/x] $ |", "none": None},
        **{f"nuisance_{n}": n for n in range(300)},
    }
    ledger.add_trial(0, {}, config)
    ledger.add_attempt(0)
    odd = {"loss": 0.75, "nan": math.nan, "infinite": -math.inf, "huge": 10**400}
    history = [
        {"report": 1, "seconds": 1.0, "metrics": reported},
        {"report": 2, "seconds": 2.0, "metrics": odd},
    ]
    ledger.record_reports(0, history, {"parameters": 3.0})
    ledger.record_outcome(0, "stopped")
    told: list[str] = []
    assert write_to_mlflow(ledger, notify=told.append) is None
    assert "metric 'acc@1' is written to MLflow as 'acc_x40_1'" in told
    assert len(told) == len(set(told)) == 8
    client = open_client(ledger.settings.tracking_uri)
    search = read_search(client, "toy")
    (trial,) = search.trials
    assert trial.params == {name: to_text(value) for name, value in config.items()}
    assert trial.metrics == {
        **{"score": 0.5, "best_report": 1.0, "device_seconds": 2.0, "parameters": 3.0}
    }
    last = dict(trial.reported)
    assert math.isnan(last.pop("nan"))
    assert last == {
        **{**reported, "loss": 0.75},
        **{"infinite": -sys.float_info.max, "huge": sys.float_info.max},  # as databases have it
    }
    (read,) = read_curves(client, [trial], ["acc@1", "score", "x" * 300, "loss"])
    assert read.curves == {
        **{"acc@1": ((1, 3.0),), "score": ((1, 9.0),), "x" * 300: ((1, 1.0),)},
        "loss": ((1, 0.5), (2, 0.75)),
    }
    rank = rank_trials(search, search.trials)
    assert [t.number for t in rank] == [0]
    assert write_to_mlflow(ledger, notify=told.append) is None  # a resume finds it complete
    assert read_search(client, "toy").trials[0].run_id == trial.run_id


def test_the_cost_of_a_report_does_not_grow_with_their_number(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    tracker = MLflowWriter(open_client(ledger.settings.tracking_uri), ledger, lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()
    seen: list[int] = []
    points = run_records.report_points

    def count(logged: Any, reports: Any) -> Any:
        seen.append(len(reports))
        return points(logged, reports)

    monkeypatch.setattr(run_records, "report_points", count)
    monkeypatch.setattr(run_records, "contradicts", None)  # asked of runs that are found only
    for report in range(1, 6):
        metrics = {"loss": 1.0 / report}
        ledger.record_reports(0, [{"report": report, "seconds": 1.0, "metrics": metrics}], {})
        tracker._write(ledger.trial_logs[0])
    assert seen == [1] * 5


@pytest.mark.parametrize("name", ["it's", '''it's "x"''', "Default", "7", "\u65e5", "a;b -- c"])
def test_a_space_may_have_any_name(begin: Callable[..., Ledger], database: str, name: str) -> None:
    ledger = begin(name, tracking_uri=database)
    ledger.add_trial(0, {}, {"width": 0})
    ledger.record_reports(0, [{"report": 1, "seconds": 1.0, "metrics": {"loss": 0.5}}], {})
    ledger.record_outcome(0, "complete")
    assert write_to_mlflow(ledger) is None
    assert write_to_mlflow(ledger) is None  # found again
    client = open_client(database)
    for asked in (name, ledger.id):
        search = read_search(client, asked)
        assert [trial.metrics["score"] for trial in search.trials] == [0.5]


@pytest.mark.parametrize("text", ["zero", "", "-1", "\u00b2", "9" * 4999])
def test_a_run_whose_trial_number_was_edited_is_written_again(
    ledger: Ledger, end: Finish, text: str
) -> None:
    end(0, 0.25)
    end(1, 0.5)
    assert write_to_mlflow(ledger) is None
    client = open_client(ledger.settings.tracking_uri)
    edited = read_search(client, "toy").trials[1].run_id
    client.set_tag(edited, "trial", text)
    with pytest.raises(UserError, match="has no trial number"):
        read_search(client, "toy")
    told: list[str] = []
    assert write_to_mlflow(ledger, notify=told.append) is None
    assert any("tag `trial` is no number" in message for message in told)
    trials = read_search(client, "toy").trials
    assert [trial.metrics["score"] for trial in trials] == [0.25, 0.5]
    assert client.get_run(edited).info.lifecycle_stage == "deleted"


def test_a_search_is_found_in_an_experiment_that_was_renamed(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    assert write_to_mlflow(ledger) is None
    client = open_client(ledger.settings.tracking_uri)
    before = read_search(client, "toy")
    client.rename_experiment(before.experiment, "other")
    end(1, 0.5)
    assert write_to_mlflow(ledger) is None
    assert client.get_experiment_by_name("toy") is None
    for name in ("other", "toy", ledger.id):
        search = read_search(client, name)
        assert search.run_id == before.run_id
        assert [trial.metrics["score"] for trial in search.trials] == [0.25, 0.5]


def test_a_search_whose_run_was_deleted_is_written_again(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    assert write_to_mlflow(ledger) is None
    client = open_client(ledger.settings.tracking_uri)
    deleted = read_search(client, "toy").run_id
    client.delete_run(deleted)
    for name in ("toy", ledger.id):
        with pytest.raises(UnreadableError, match=f"deleted.*\n.*{deleted}\n.*rebuild FOLDER"):
            read_search(client, name)
    assert write_to_mlflow(ledger) is None
    search = read_search(client, "toy")
    assert search.run_id != deleted
    assert [trial.metrics["score"] for trial in search.trials] == [0.25]
    assert read_runs(ledger.settings.tracking_uri).keys() == {"toy", "toy-000"}  # each once


@pytest.mark.parametrize("step", [2, 99])
def test_a_point_that_a_user_has_logged_is_gone_after_a_rebuild(
    ledger: Ledger, end: Finish, step: int
) -> None:
    end(0, 0.25)
    assert write_to_mlflow(ledger) is None
    once = read_runs(ledger.settings.tracking_uri)["toy-000"]["metrics"]
    client = open_client(ledger.settings.tracking_uri)
    (trial,) = read_search(client, "toy").trials
    client.log_metric(trial.run_id, "loss", -5.0, step=step)
    client.log_metric(trial.run_id, "own", 1.0, step=99)
    for _ in range(2):
        assert write_to_mlflow(ledger, again=True) is None
        assert read_runs(ledger.settings.tracking_uri)["toy-000"]["metrics"] == once
    (kept,) = read_search(client, "toy").trials
    assert write_to_mlflow(ledger, again=True) is None
    assert read_search(client, "toy").trials[0].run_id == kept.run_id
