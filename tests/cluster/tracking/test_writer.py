import shutil
import socket
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger import trial_log
from cluster.ledger.ledger import Ledger
from cluster.ledger.trial_log import TrialLog
from cluster.sampling.study import Study
from cluster.storage.redaction import redact
from cluster.tracking import writer
from cluster.tracking.client import artifact_location, open_client
from cluster.tracking.provenance import command
from cluster.tracking.writer import MLflowWriter
from searchspaces.space import SearchSpace
from trainables.errors import UserError

Begin = Callable[..., Ledger]
Finish = Callable[[int, float, str], None]


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made once: creating MLflow's tables takes seconds, copying the file none."""
    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    open_client(f"sqlite:///{path}")
    return path


@pytest.fixture
def databases(empty_database: Path, tmp_path: Path) -> Iterator[str]:
    """Give the addresses of empty databases, one after the other."""

    def make() -> Iterator[str]:
        for n in range(9):
            path = tmp_path / f"mlflow-{n}.db"
            shutil.copy(empty_database, path)
            yield f"sqlite:///{path}"

    return make()


@pytest.fixture
def ledger(begin: Begin, databases: Iterator[str]) -> Ledger:
    ledger = begin(trials=3, tracking_uri=next(databases), tags={"question": "how small?"})
    (ledger.folder / "data").mkdir()
    pq.write_table(pa.table({"id": [0], "target": [1]}), ledger.folder / "data" / "test.parquet")
    return ledger


@pytest.fixture
def end(ledger: Ledger) -> Finish:
    """Let a trial make two reports and end, and leave what a worker leaves."""

    def one(trial: int, loss: float, outcome: str = "complete") -> None:
        ledger.add_trial(trial, {"width": trial}, {"width": trial, "seed": 0})
        ledger.add_attempt(trial)
        for report, value in ((1, loss + 1), (2, loss)):
            entry = {"report": report, "seconds": report * 1.5, "metrics": {"loss": value}}
            ledger.record_reports(trial, [entry], {"parameters": 3.0})
        best = ledger.latest_attempt(trial) / "best"
        best.mkdir(parents=True)
        (best / "manifest.json").write_text('{"file": "state-2.safetensors"}')
        (best / "state-2.safetensors").write_bytes(b"weights")
        (best / "episode.gif").write_bytes(b"moving")
        pq.write_table(pa.table({"id": [0], "p0": [0.5]}), best / "validation.parquet")
        if outcome == "failed":
            ledger.error(trial, "failed", "Traceback ...\nRuntimeError: on purpose")
        ledger.record_outcome(trial, outcome)  # type: ignore[arg-type]
        ledger.prune(trial)

    return one


def write(
    ledger: Ledger,
    finished: bool = True,
    client: Any = None,
    patience: float = writer.PATIENCE,
) -> str | None:
    """Do what a driver does with a tracker, from start to end."""
    client = client or open_client(ledger.settings["tracking_uri"])
    tracker = MLflowWriter(client, ledger, ledger.settings["artifacts"], lambda: 7)
    tracker.start()
    return tracker.close(finished, patience)


def found(uri: str) -> dict[str, Any]:
    """Give everything that a database holds of the search, by the name of the run."""
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run.info.run_id for run in runs if run.data.tags["kind"] == "search")
    everything: dict[str, Any] = {}
    for run in runs:
        name = run.info.run_name
        assert name not in everything
        tags = {k: v for k, v in run.data.tags.items() if k != "mlflow.parentRunId"}
        if run.data.tags["kind"] == "trial":
            assert run.data.tags["mlflow.parentRunId"] == parent
        everything[name] = {
            "status": run.info.status,
            "tags": tags,
            "params": run.data.params,
            "metrics": {
                key: [
                    (m.step, None if np.isnan(m.value) else m.value, m.timestamp)
                    for m in client.get_metric_history(run.info.run_id, key)
                ]
                for key in run.data.metrics
            },
            "artifacts": {
                f.path
                for folder in ("checkpoint", "predictions", "data")
                for f in client.list_artifacts(run.info.run_id, folder)
            },
        }
    return everything


def test_every_outcome_has_its_run_with_all_its_numbers(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25, "complete")
    end(1, 0.5, "stopped")
    end(2, float("nan"), "diverged")
    end(3, 0.75, "failed")
    assert write(ledger) is None
    runs = found(ledger.settings["tracking_uri"])
    statuses = {name: (run["status"], run["tags"].get("outcome")) for name, run in runs.items()}
    assert statuses == {
        "toy": ("FINISHED", None),
        "toy-000": ("FINISHED", "complete"),
        "toy-001": ("KILLED", "stopped"),
        "toy-002": ("FAILED", "diverged"),
        "toy-003": ("FAILED", "failed"),
    }
    first = runs["toy-000"]
    assert first["params"] == {"width": "0", "seed": "0"}
    assert [(step, value) for step, value, _ in first["metrics"]["loss"]] == [(1, 1.25), (2, 0.25)]
    assert [value for _, value, _ in first["metrics"]["device_seconds"]] == [1.5, 3.0]
    assert first["metrics"]["score"][0][1] == 0.25
    assert first["metrics"]["best_report"][0][1] == 2.0
    assert first["metrics"]["parameters"][0][1] == 3.0
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
    assert counts == {
        **dict.fromkeys(("complete", "stopped", "diverged", "failed", "retried"), 1),
        "infeasible": 7,
    }
    assert parent["tags"]["question"] == "how small?"
    assert parent["artifacts"] == {"data/test.parquet"}


def test_writing_again_changes_nothing(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    end(1, 0.5, "stopped")
    write(ledger)
    once = found(ledger.settings["tracking_uri"])
    write(ledger)
    tracker = MLflowWriter(open_client(ledger.settings["tracking_uri"]), ledger, None, lambda: 7)
    tracker.start()
    tracker.touch(0)  # says everything again
    tracker.close(finished=True)
    again = found(ledger.settings["tracking_uri"])
    for runs in (once, again):
        runs["toy"].pop("metrics")  # counted anew, at a later time
    assert again == once


@pytest.mark.parametrize("after", ["create_run", "log_batch", "log_artifact", "set_terminated"])
def test_a_writer_killed_at_any_call_is_made_good(
    ledger: Ledger,
    end: Finish,
    databases: Iterator[str],
    monkeypatch: pytest.MonkeyPatch,
    after: str,
) -> None:
    end(0, 0.25)
    end(1, 0.5)
    monkeypatch.setattr(writer, "BATCH", 2)

    class Killed(BaseException):
        pass

    client = open_client(ledger.settings["tracking_uri"])
    tracker = MLflowWriter(client, ledger, ledger.settings["artifacts"], lambda: 7)
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
    assert write(ledger) is None
    undisturbed = next(databases)
    ledger.settings["tracking_uri"], was = undisturbed, ledger.settings["tracking_uri"]
    write(ledger)
    mended, whole = found(was), found(undisturbed)
    for runs in (mended, whole):
        runs["toy"].pop("metrics")
    assert mended == whole


def test_parameters_that_a_killed_writer_left_out_are_there_after_a_resume(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(0, 0.25)
    client = open_client(ledger.settings["tracking_uri"])
    tracker = MLflowWriter(client, ledger, ledger.settings["artifacts"], lambda: 7)
    tracker._thread = threading.Thread()
    tracker.start()

    def die(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "log_batch", die)
    with pytest.raises(KeyboardInterrupt):
        tracker._write(ledger.trial_logs[0])
    assert write(ledger) is None
    run = found(ledger.settings["tracking_uri"])["toy-000"]
    assert (run["status"], run["params"]) == ("FINISHED", {"width": "0", "seed": "0"})


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("config", [{"width": 9}, {"width": 0, "seed": 0}])
def test_a_trial_that_a_lost_machine_forgot_takes_nothing_from_the_one_before(
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
    write(ledger, finished=False)
    shutil.rmtree(ledger.folder / "trials" / "000")
    again = reopen(ledger)
    again.begin(0, {}, config)
    again.attempt(0)
    again.record_reports(0, [{"report": 1, "seconds": 1.5, "metrics": {"loss": 7.0}}], {})
    again.end(0, "complete")
    assert write(again) is None
    run = found(again.settings["tracking_uri"])["toy-000"]
    assert run["params"] == {key: str(value) for key, value in config.items()}
    assert [(step, value) for step, value, _ in run["metrics"]["loss"]] == [(1, 7.0)]
    assert [value for _, value, _ in run["metrics"]["score"]] == [7.0]


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize(("seconds", "loss"), [(3.0, 0.25), (4.0, 0.125)])
def test_a_line_lost_and_told_again_gives_no_second_point(
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
    write(ledger, finished=ended)
    file = ledger.folder / "trials" / "000" / "reports.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[: -2 if ended else -1]))
    again = reopen(ledger)
    # The same report once more, or that of another attempt, which took another time.
    again.record_reports(0, [{"report": 2, "seconds": seconds, "metrics": {"loss": loss}}], {})
    again.end(0, "complete")
    assert write(again) is None
    run = found(again.settings["tracking_uri"])["toy-000"]
    points = {key: [(s, v) for s, v, _ in history] for key, history in run["metrics"].items()}
    assert points == {
        "loss": [(1, 1.25), (2, loss)],
        "device_seconds": [(1, 1.5), (2, seconds)],
        "size": [(0, 3.0)],
        "score": [(0, loss)],
        "best_report": [(0, 2.0)],
    }


def test_a_report_that_comes_while_a_trial_is_written_is_not_lost(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Busy(TrialLog):
        """The last report and the outcome come just after somebody looked at the reports."""

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
    tracker = MLflowWriter(
        open_client(ledger.settings["tracking_uri"]),
        ledger,
        ledger.settings["artifacts"],
        lambda: 7,
    )
    tracker._thread = threading.Thread()
    tracker.start()
    finished.clear()
    tracker._write(ledger.trial_logs[0])  # and the driver is killed
    assert ledger.trial_logs[0].outcome == "complete"
    assert write(ledger) is None
    run = found(ledger.settings["tracking_uri"])["toy-000"]
    assert [step for step, _, _ in run["metrics"]["loss"]] == [1, 2]
    assert run["status"] == "FINISHED"


def test_who_sees_an_outcome_sees_everything_that_came_with_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, bool, bool]] = []

    class Seen(TrialLog):
        def __setattr__(self, name: str, value: Any) -> None:
            super().__setattr__(name, value)
            if name == "outcome" and value is not None:
                heard = self.spans[-1][1] == self.ended
                seen.append((self.reason, self.ended > 0, heard))

    monkeypatch.setattr(trial_log, "TrialLog", Seen)
    ledger.add_trial(0, {}, {"width": 0})
    ledger.add_attempt(0)
    ledger.record_outcome(0, "stopped", "it lagged behind")
    assert seen == [("it lagged behind", True, True)]


def test_an_ordinary_search_asks_little_of_the_server(ledger: Ledger, end: Finish) -> None:
    class Counting:
        def __init__(self) -> None:
            self.client = open_client(ledger.settings["tracking_uri"])
            self.calls: Counter[str] = Counter()

        def __getattr__(self, name: str) -> Any:
            self.calls[name] += 1
            return getattr(self.client, name)

    begun, resumed = Counting(), Counting()
    for trial in range(4):
        end(trial, 0.25)
    assert write(ledger, client=begun) is None
    assert begun.calls["create_run"] == 1 + 4  # a parent
    assert begun.calls["log_batch"] == 1 + 4
    assert begun.calls["search_runs"] == 4, "nothing is asked of a trial that is new"
    assert begun.calls["get_metric_history"] == begun.calls["delete_run"] == 0
    assert write(ledger, client=resumed) is None
    assert resumed.calls["log_batch"] == 1
    assert resumed.calls["search_runs"] == 4
    assert resumed.calls["create_run"] == resumed.calls["get_metric_history"] == 0


def test_an_interrupted_search_leaves_no_run_running(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    ledger.add_trial(1, {}, {"width": 9})
    ledger.add_attempt(1)
    assert write(ledger, finished=False) is None
    runs = found(ledger.settings["tracking_uri"])
    assert {run["status"] for run in runs.values()} == {"FINISHED", "KILLED"}
    assert (runs["toy"]["status"], runs["toy-001"]["status"]) == ("KILLED", "KILLED")
    assert "outcome" not in runs["toy-001"]["tags"]
    ledger.record_outcome(1, "complete")
    write(ledger)
    runs = found(ledger.settings["tracking_uri"])
    assert {run["status"] for run in runs.values()} == {"FINISHED"}


def test_rebuilding_elsewhere_gives_the_same(
    ledger: Ledger,
    end: Finish,
    databases: Iterator[str],
    space: SearchSpace[Any],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    open_study(ledger, space)
    for trial, outcome in enumerate(("complete", "stopped", "failed")):
        end(trial, 0.1 * trial, outcome)
    write(ledger)
    elsewhere = next(databases)
    words = ["tracking", "rebuild", str(ledger.folder), "--tracking-uri", elsewhere]
    monkeypatch.setattr(sys, "argv", words)
    assert writer.main() == 2  # the search is open here
    assert "another process is running" in capsys.readouterr().err
    ledger.close()
    assert writer.main() == 0
    first, second = found(ledger.settings["tracking_uri"]), found(elsewhere)
    for runs in (first, second):
        runs["toy"].pop("metrics")
    assert second == first
    monkeypatch.setattr(sys, "argv", [*words[:2], str(ledger.folder.parent)])
    assert writer.main() == 2
    assert "is no search's folder" in capsys.readouterr().err


def test_rebuilding_in_place_mends_runs_that_have_ended(
    ledger: Ledger,
    end: Finish,
    space: SearchSpace[Any],
    open_study: Callable[[Ledger, SearchSpace[Any]], Study],
) -> None:
    open_study(ledger, space)
    for trial in range(3):
        end(trial, 0.25)
    write(ledger)
    uri = ledger.settings["tracking_uri"]
    whole = found(uri)
    ledger.close()
    database = sqlite3.connect(uri.removeprefix("sqlite:///"))
    with database:
        for table in ("metrics", "latest_metrics"):
            database.execute(f"delete from {table} where step = 2 or key = 'score'")
        database.execute("update params set value = '77' where key = 'width' and value = '1'")
    database.close()
    writer.rebuild(ledger.folder, None)
    mended = found(uri)
    for runs in (whole, mended):
        runs["toy"].pop("metrics")
    assert mended == whole


def test_weights_of_the_best_few_alone_also_after_an_extension(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledgers, "KEPT", 2)

    def with_weights() -> set[str]:
        runs = found(ledger.settings["tracking_uri"])
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
    write(ledger)
    assert with_weights() == {"toy-001", "toy-002"}
    end(3, 0.15)
    end(4, 0.9)
    write(ledger)
    assert with_weights() == {"toy-001", "toy-003"}


class Absent:
    """A client whose server is away for the first calls that write metrics."""

    def __init__(self, client: MlflowClient, calls: float) -> None:
        self.client, self.calls = client, calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self.client, name)

    def log_batch(self, *args: Any, **kwargs: Any) -> None:
        if self.calls > 0:
            self.calls -= 1
            raise ConnectionError("no answer from http://me:secret@host/api")
        self.client.log_batch(*args, **kwargs)


def test_a_server_that_is_away_for_a_while_is_told_everything(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)
    end(1, 0.5)
    client = Absent(open_client(ledger.settings["tracking_uri"]), 5)
    assert write(ledger, client=client) is None
    assert client.calls == 0
    runs = found(ledger.settings["tracking_uri"])
    assert {name: run["status"] for name, run in runs.items()} == dict.fromkeys(
        ("toy", "toy-000", "toy-001"), "FINISHED"
    )
    assert len(runs["toy-001"]["metrics"]["loss"]) == 2


def test_a_run_that_a_failed_request_made_all_the_same_is_found(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)

    class Forgetful(Absent):
        def create_run(self, *args: Any, **kwargs: Any) -> Any:
            made = self.client.create_run(*args, **kwargs)
            if "trial" in args[2] and self.calls > 0:
                self.calls -= 1
                raise ConnectionError("the answer was lost")
            return made

    client = Forgetful(open_client(ledger.settings["tracking_uri"]), 1)
    assert write(ledger, client=client) is None
    assert client.calls == 0
    assert found(ledger.settings["tracking_uri"]).keys() == {"toy", "toy-000"}


def test_doubles_go_and_the_whole_one_stays(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    write(ledger)
    whole = found(ledger.settings["tracking_uri"])
    client = open_client(ledger.settings["tracking_uri"])
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    tags = {"kind": "trial", "search": ledger.id, "trial": "0"}
    for start in (1, 2**41):  # as it is found before and behind the whole one
        client.create_run(experiment.experiment_id, start, tags, run_name="toy-000")
    assert write(ledger) is None
    again = found(ledger.settings["tracking_uri"])
    assert again["toy-000"] == whole["toy-000"]


def test_a_slow_server_is_waited_for_as_long_as_it_takes_something(
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
    client = open_client(ledger.settings["tracking_uri"])
    refused, log_batch = set(), client.log_batch

    def slow(run_id: str, **what: Any) -> None:
        if what.get("tags") and run_id not in refused:
            refused.add(run_id)
            clock.now += 50  # less than the patience, but not all trials together
            time.sleep(0.05)  # let the one who waits look at the clock
            raise ConnectionError("busy")
        log_batch(run_id, **what)

    monkeypatch.setattr(writer, "time", clock)
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    monkeypatch.setattr(client, "log_batch", slow)
    assert write(ledger, client=client) is None
    assert len(refused) == 4
    runs = found(ledger.settings["tracking_uri"])
    assert {run["status"] for run in runs.values()} == {"FINISHED"}


def test_a_server_that_never_comes_back_is_told_of_with_the_way_out(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "PERIOD", 0.01)
    end(0, 0.25)
    client = Absent(open_client(ledger.settings["tracking_uri"]), float("inf"))
    trouble = write(ledger, client=client, patience=0.2)
    assert trouble is not None
    assert "no answer from http://***@host" in trouble
    assert "secret" not in trouble
    assert f"python -m cluster.tracking rebuild {ledger.folder}" in trouble
    assert write(ledger) is None
    assert found(ledger.settings["tracking_uri"])["toy-000"]["status"] == "FINISHED"


def test_without_patience_nothing_is_tried_for_long(ledger: Ledger, end: Finish) -> None:
    end(0, 0.25)
    client = Absent(open_client(ledger.settings["tracking_uri"]), 100)
    assert write(ledger, client=client, patience=0.0) is not None
    assert client.calls >= 97


def test_a_server_that_goes_away_at_the_very_end_is_no_traceback(
    ledger: Ledger, end: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    end(0, 0.25)

    def away(self: MLflowWriter) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(MLflowWriter, "upload_best", away)
    trouble = write(ledger)
    assert trouble is not None
    assert "has not got everything: gone" in trouble


@pytest.mark.parametrize("silent", [True, False])
def test_a_server_that_does_not_answer_is_an_error_without_its_password(silent: bool) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if silent:
            listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(UserError) as error:
            open_client(f"http://me:p@ssword@127.0.0.1:{port}")
    assert f"http://***@127.0.0.1:{port} does not answer" in str(error.value)
    assert "ssword" not in str(error.value)


def test_a_login_that_is_written_down_nowhere_is_asked_for_again() -> None:
    with pytest.raises(UserError, match="give --tracking-uri again"):
        open_client("postgresql://***@host/mlflow")


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("http://me:p@ss@host:1/a@b", "http://***@host:1/a@b"),
        ("x http://token@host y https://a:b@c", "x http://***@host y https://***@c"),
        ("sqlite:////tmp/a@b.db", "sqlite:////tmp/a@b.db"),
        ("http://host/a@b", "http://host/a@b"),
    ],
)
def test_addresses_lose_their_logins(
    text: str, clean: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert redact(text) == clean
    monkeypatch.setattr(sys, "argv", ["tune.py", "--tracking-uri", text])
    assert clean in command()


def test_artifacts_of_a_database_file_lie_in_the_storage_and_a_servers_with_the_server(
    tmp_path: Path,
) -> None:
    assert artifact_location("sqlite:////x.db", tmp_path) == (tmp_path / "artifacts").as_uri()
    assert artifact_location("http://127.0.0.1:5000", tmp_path) is None
