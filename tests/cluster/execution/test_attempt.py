"""An attempt at a trial, without a Ray cluster."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pyarrow.parquet as pq
import pytest

from cluster.execution.attempt import AttemptRunner, WorkerSettings
from cluster.execution.failures import AttemptError
from cluster.ledger.files import OUTPUT
from cluster.storage import replication
from cluster.storage.location import Location
from trainables.run import Run

SPACE = '''
"""A random walk, whose trials fail, diverge or end early on request."""

import dataclasses
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from searchspaces.space import SearchSpace
from trainables.run import seed_everything


@dataclass(frozen=True)
class Config:
    seed: int = 0
    speed: float = 1.0
    behave: str = "well"
    note: str = ""
    talk: bool = False


def train(config, run):
    seed_everything(config.seed)
    model = torch.nn.Linear(1, 1)
    run.keep_predictions(test=lambda: torch.full((3, 2), 0.5).numpy())
    try:
        for report in run.resume(model=model):
            half = run.pop_partial().get("half", 0)
            for step in range(half, 2):
                if config.behave == "preempted" and report == step == 1 and not half:
                    os.kill(os.getpid(), signal.SIGTERM)
                    while not run.preempted():  # the main thread handles it
                        time.sleep(0.001)
                if run.preempted():
                    run.save_and_preempt({"half": step})
                with torch.no_grad():
                    model.weight += config.speed * torch.rand(())
            if config.talk:
                print("report", report)
            if config.behave == "ends" and report == 1:
                return
            if config.behave == "fails" and report == 1:
                raise RuntimeError("no more")
            if config.behave == "exits" and report == 1:
                raise SystemExit("no data")
            if config.behave == "broken pool" and report == 1:
                os.kill(os.getpid(), signal.SIGTERM)
                raise RuntimeError("a process of the pool has ended")
            if config.behave == "silent":
                return
            name = "other" if config.behave == "misnamed" else "score"
            broken = config.behave == "diverges" and report == 1
            yield {name: float("nan") if broken else model.weight.item()}
    finally:
        if config.talk:
            print("closed")
        if config.note:
            Path(config.note).touch()


SPACE = SearchSpace(
    config=Config,
    train=train,
    suggest=lambda trial: {"speed": trial.suggest_float("speed", 0.1, 10.0)},
    metric="score",
    mode="max",
    reports=3,
)
'''

FUNCTION = """
def call(config, run):
    for metrics in train(config, run):
        run.report(metrics)


SPACE = dataclasses.replace(SPACE, train=call)
"""

Make = Callable[..., AttemptRunner]


@pytest.fixture(params=["", FUNCTION], ids=["generator", "function"])
def make(request: pytest.FixtureRequest, tmp_path: Path, preempted: Event) -> Iterator[Make]:
    """Return a function that begins an attempt at a trial of the random walk."""
    space = tmp_path / "walk.py"
    space.write_text(SPACE + request.param)
    run = Run(3, metric="score", mode="max", cache=tmp_path / "cache")
    settings = WorkerSettings(str(space), tmp_path / "search", run)
    settings.folder.mkdir()
    made: list[AttemptRunner] = []

    def make(trial: int = 0, attempt: int = 1, **values: Any) -> AttemptRunner:
        preempted.clear()
        runner = AttemptRunner(settings, preempted=preempted.is_set)
        runner.begin({"trial": trial, "attempt": attempt, "config": values})
        made.append(runner)
        return runner

    yield make
    for runner in made:
        runner.close()


def _scores(results: list[dict[str, Any]]) -> list[float]:
    return [entry["metrics"]["score"] for result in results for entry in result["history"]]


def read_losses(results: list[dict[str, Any]]) -> dict[int, float]:
    reports = [entry for result in results for entry in result["history"]]
    return {entry["report"]: entry["metrics"]["loss"] for entry in reports}


def _folder(tmp_path: Path, trial: int = 0, attempt: int = 1) -> Path:
    return tmp_path / "search" / "trials" / f"{trial:03d}" / f"attempt-{attempt}"


def test_every_step_is_a_report_and_the_last_ends_the_trial(make: Make, tmp_path: Path) -> None:
    trial = make()
    results = [trial.step() for _ in range(3)]
    assert [result["report"] for result in results] == [1, 2, 3]
    assert [len(result["history"]) for result in results] == [1, 1, 1]
    assert [result.get("outcome") for result in results] == [None, None, "complete"]
    assert results[0]["facts"] == {"parameters": 2.0}
    assert _scores(results) == sorted(_scores(results))
    json.dumps(results)
    predictions = pq.read_table(_folder(tmp_path) / "best" / "test.parquet")
    assert predictions.column_names == ["id", "p0", "p1"]


def test_what_a_task_prints_is_kept_with_the_attempt(
    make: Make, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trial = make(behave="fails", talk=True)
    trial.step()
    assert (_folder(tmp_path) / OUTPUT).read_text() == "report 0\n"
    with pytest.raises(AttemptError) as error:
        trial.step()
    assert error.value.failure.output == "report 0\nreport 1\nclosed"
    stopped = make(trial=2, talk=True)
    stopped.step()
    stopped.close()
    assert (_folder(tmp_path, 2) / OUTPUT).read_text() == "report 0\nclosed\n"
    quiet = make(trial=1)
    quiet.step()
    quiet.close()
    assert not (_folder(tmp_path, 1) / OUTPUT).exists()
    assert capfd.readouterr() == ("", "")


def test_a_task_that_exits_has_failed_in_any_process(make: Make) -> None:
    trial = make(behave="exits")
    trial.step()
    with pytest.raises(AttemptError) as error:
        trial.step()
    assert error.value.failure.message == "SystemExit: no data"
    assert 'raise SystemExit("no data")' in error.value.failure.traceback


def test_a_machine_without_the_storage_fails_and_creates_no_folder(
    make: Make, tmp_path: Path
) -> None:
    (tmp_path / "search").rmdir()
    with pytest.raises(AttemptError, match="does not see the storage"):
        make().step()
    assert not (tmp_path / "search").exists()


def test_a_misspelt_value_fails_at_the_first_step(make: Make) -> None:
    trial = make(sped=2.0)
    with pytest.raises(AttemptError, match="sped"):
        trial.step()


def test_a_missing_space_file_fails_at_the_first_step(make: Make, tmp_path: Path) -> None:
    trial = make()
    (tmp_path / "walk.py").unlink()
    with pytest.raises(AttemptError, match=r"walk\.py"):
        trial.step()


def test_a_nan_ends_the_trial_as_diverged(make: Make, tmp_path: Path) -> None:
    trial = make(behave="diverges")
    results = [trial.step(), trial.step()]
    assert results[-1]["outcome"] == "diverged"
    assert [entry["report"] for entry in results[-1]["history"]] == [2]
    assert not list(_folder(tmp_path).rglob("*.parquet"))


def test_a_task_that_ends_early_is_complete(make: Make, tmp_path: Path) -> None:
    trial = make(behave="ends")
    trial.step()
    last = trial.step()
    assert (last["outcome"], last["report"], last["history"]) == ("complete", 1, [])
    assert (_folder(tmp_path) / "best" / "test.parquet").is_file()


def test_a_task_without_a_report_fails(make: Make) -> None:
    with pytest.raises(AttemptError, match=r"without a single report|made no report"):
        make(behave="silent").step()


def test_a_report_without_the_metric_fails(make: Make) -> None:
    text = "lacks the searched metric 'score'; it has 'other'"
    with pytest.raises(AttemptError, match=text) as e:
        make(behave="misnamed").step()
    assert e.value.failure.failure_class == "task_error"
    assert "walk.py, line " in e.value.failure.message


def test_a_damaged_checkpoint_costs_the_reports_since_the_one_before(
    make: Make, tmp_path: Path
) -> None:
    whole = make(trial=1)
    expected = [whole.step() for _ in range(3)]
    make().step()
    second = make(attempt=2)
    second.step()
    second.close()
    (_folder(tmp_path, attempt=2) / "last" / "manifest.json").write_text("{}")
    third = make(attempt=3)
    result = third.step()
    (note,) = result["notes"]
    assert f"{_folder(tmp_path, attempt=2) / 'last'} is damaged: it lacks 'file'; " in note
    assert note.endswith("the trial continues from attempt 1")
    assert [entry["report"] for entry in result["history"]] == [1, 2]
    assert _scores([result]) == _scores(expected[:2])
    again = third.step()
    assert (again["notes"], _scores([again])) == ([], _scores(expected[2:]))
    for attempt in (1, 2, 3):
        for path in (_folder(tmp_path, attempt=attempt) / "last").glob("*.safetensors"):
            path.write_bytes(path.read_bytes()[:-3] + b"abc")
    fourth = make(attempt=4)
    results = [fourth.step() for _ in range(3)]
    assert len(results[0]["notes"]) == 3
    assert all(note.endswith("starts again from its first report") for note in results[0]["notes"])
    assert _scores(results) == _scores(expected)


def test_the_next_attempt_continues_and_sends_all_reports_again(make: Make) -> None:
    whole = make(trial=1)
    expected = _scores([whole.step() for _ in range(3)])
    first = make(trial=0, attempt=1)
    first.step()
    first.step()
    again = make(trial=0, attempt=2).step()
    assert [entry["report"] for entry in again["history"]] == [1, 2, 3]
    assert _scores([again]) == expected
    assert again["outcome"] == "complete"


def test_an_attempt_after_a_failure_continues_after_the_last_report(make: Make) -> None:
    trial = make(behave="fails")
    expected = trial.step()["history"]
    for attempt in (1, 2):
        with pytest.raises(AttemptError, match="no more"):
            (trial if attempt == 1 else make(attempt=2, behave="fails")).step()
    again = make(attempt=3).step()
    assert again["report"] == 2
    assert again["history"][0] == expected[0]


def test_an_attempt_skips_an_earlier_one_that_saved_nothing(make: Make, tmp_path: Path) -> None:
    make(attempt=1).step()
    _folder(tmp_path, attempt=2).mkdir()
    assert make(attempt=3).step()["report"] == 2
    assert (_folder(tmp_path, attempt=3) / "best" / "manifest.json").is_file()


def test_an_attempt_after_the_last_report_only_finishes(make: Make, tmp_path: Path) -> None:
    first = make(attempt=1)
    for _ in range(3):
        first.step()
    last = make(attempt=2).step()
    assert (last["report"], last["outcome"]) == (3, "complete")
    assert len(last["history"]) == 3
    assert (_folder(tmp_path, attempt=2) / "best" / "test.parquet").is_file()


def test_an_attempt_that_the_ledger_does_not_know_starts_again(make: Make) -> None:
    first = make(attempt=1)
    expected = _scores([first.step(), first.step()])
    again = make(attempt=1)
    assert _scores([again.step(), again.step()]) == expected


def test_a_reused_runner_closes_one_attempt_before_the_next(make: Make, tmp_path: Path) -> None:
    fresh = make(trial=5, seed=3)
    expected = [fresh.step() for _ in range(3)]
    note = tmp_path / "closed"
    trial = make(trial=0, note=str(note))
    trial.step()
    assert not note.exists()
    trial.begin({"trial": 1, "attempt": 1, "config": {"seed": 3}})
    assert note.exists()
    assert _scores([trial.step() for _ in range(3)]) == _scores(expected)


def test_closing_closes_the_generator(make: Make, tmp_path: Path) -> None:
    note = tmp_path / "closed"
    trial = make(note=str(note))
    trial.step()
    trial.close()
    assert note.exists()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_error_of_a_generator_that_closes_is_not_one_of_the_next_attempt(
    make: Make, tmp_path: Path
) -> None:
    trial = make(note=str(tmp_path / "missing" / "closed"))
    trial.step()
    trial.begin({"trial": 1, "attempt": 1, "config": {}})
    assert trial.step()["report"] == 1


def test_a_preempted_worker_starts_no_report_and_the_next_attempt_continues(
    make: Make, tmp_path: Path
) -> None:
    whole = _scores([trial.step() for trial in [make(trial=1)] for _ in range(3)])
    first = make()
    first.step()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(AttemptError, match="received SIGTERM and exited after report 1"):
        first.step()
    assert first.run.done == 1
    with pytest.raises(AttemptError, match="received SIGTERM and exited before its first report"):
        other = make(trial=2)
        signal.raise_signal(signal.SIGTERM)
        other.step()
    second = make(attempt=2)
    assert _scores([second.step(), second.step()]) == whole


def test_an_error_that_follows_sigterm_does_not_count(make: Make) -> None:
    """The machine is being taken away: the processes that the task needs got SIGTERM, too."""
    trial = make(behave="broken pool")
    trial.step()
    with pytest.raises(AttemptError) as error:
        trial.step()
    failure = error.value.failure
    assert failure.failure_class == "preempted"
    assert "received SIGTERM, and then failed: RuntimeError('a process of" in failure.message


def test_a_worker_preempted_in_the_middle_of_a_report_continues_there(make: Make) -> None:
    whole = _scores([trial.step() for trial in [make(trial=1)] for _ in range(3)])
    first = make(behave="preempted")
    first.step()
    with pytest.raises(AttemptError, match="received SIGTERM: saved in the middle of report 2"):
        first.step()
    second = make(attempt=2, behave="preempted")
    assert _scores([second.step(), second.step()]) == whole


def test_an_attempt_on_another_machine_continues(
    on: Callable[..., AttemptRunner], tmp_path: Path
) -> None:
    undisturbed = read_losses([trial.step() for trial in [on("quiet", 1)] for _ in range(4)])
    files = tmp_path / "bucket" / "attempts" / "000"
    shutil.rmtree(files)

    first = on("first", 1)
    results = [first.step(), first.step()]
    signal.raise_signal(signal.SIGTERM)
    with pytest.raises(AttemptError, match="received SIGTERM") as error:
        first.step()
    assert error.value.failure.failure_class == "preempted"
    shutil.rmtree(tmp_path / "first")
    unknown = tmp_path / "unknown"
    unknown.mkdir()
    (unknown / "a").write_text("x")
    replication.upload(unknown, Location(files.as_uri()) / "2", "an attempt that was forgotten")

    second = on("second", 2)
    results += [second.step(), second.step()]
    assert results[-1]["outcome"] == "complete"
    assert read_losses(results) == undisturbed
    index = replication.read_newest_index(Location(files.as_uri()) / "2")
    assert index is not None
    assert {"best/validation.parquet", "best/manifest.json"} < index.files.keys()
    second.close()
    assert not list((tmp_path / "second" / "search").rglob("attempt-*"))


def test_another_trial_of_the_same_number_does_not_continue_from_a_checkpoint(
    on: Callable[..., AttemptRunner],
) -> None:
    on("first", 1, width=2).step()
    again = on("second", 2, width=3).step()
    assert [entry["report"] for entry in again["history"]] == [1]


def test_an_attempt_on_another_machine_continues_in_the_middle_of_a_report(
    on: Callable[..., AttemptRunner], tmp_path: Path
) -> None:
    undisturbed = read_losses([trial.step() for trial in [on("quiet", 1)] for _ in range(4)])
    shutil.rmtree(tmp_path / "bucket" / "attempts" / "000")
    first = on("first", 1, behave="preempt")
    results = [first.step()]
    with pytest.raises(AttemptError, match="in the middle of report 2") as error:
        first.step()
    assert error.value.failure.failure_class == "preempted"
    shutil.rmtree(tmp_path / "first")
    second = on("second", 2, behave="preempt")
    results += [second.step() for _ in range(3)]
    assert read_losses(results) == undisturbed
