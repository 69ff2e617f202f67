"""The Ray trainable driven by hand, in this process and without a Ray cluster."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import ray

from cluster.execution.failures import AttemptError
from cluster.execution.trainable import Trial, WorkerSettings
from trainables import checkpoint

SPACE = '''
"""A walk at random, whose trials do on request whatever a trial can do."""

import os
import signal
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


def train(config, run):
    seed_everything(config.seed)
    model = torch.nn.Linear(1, 1)
    run.keep(test=lambda: torch.full((3, 2), 0.5).numpy())
    try:
        for report in run.resume(model=model):
            half = run.take_up().get("half", 0)
            for step in range(half, 2):
                if config.behave == "taken" and report == step == 1 and not half:
                    os.kill(os.getpid(), signal.SIGTERM)
                if run.leaving():
                    run.put_down({"half": step})
                with torch.no_grad():
                    model.weight += config.speed * torch.rand(())
            if config.behave == "ends" and report == 1:
                return
            if config.behave == "fails" and report == 1:
                raise RuntimeError("no more")
            if config.behave == "silent":
                return
            name = "other" if config.behave == "misnamed" else "score"
            broken = config.behave == "diverges" and report == 1
            yield {name: float("nan") if broken else model.weight.item()}
    finally:
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

Make = Callable[..., Trial]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Build a trainable that runs the given trial; a bare `ray.get_gpu_ids` would start Ray."""
    monkeypatch.setattr(ray, "get_gpu_ids", list)
    space = tmp_path / "walk.py"
    space.write_text(SPACE)
    settings = WorkerSettings(str(space), tmp_path / "search", tmp_path / "cache", reports=3)
    settings.folder.mkdir()
    made: list[Trial] = []

    class Alone(Trial):
        def setup(self, config: dict[str, Any]) -> None:  # type: ignore[override]
            super().setup(config, settings)

    def make(trial: int = 0, attempt: int = 1, **values: Any) -> Trial:
        made.append(Alone({"trial": trial, "attempt": attempt, "values": values}))
        return made[-1]

    handler = signal.getsignal(signal.SIGTERM)
    yield make
    signal.signal(signal.SIGTERM, handler)
    for trial in made:
        trial.stop()
    assert not ray.is_initialized()


def _scores(results: list[dict[str, Any]]) -> list[float]:
    return [heard["metrics"]["score"] for result in results for heard in result["history"]]


def _folder(tmp_path: Path, trial: int = 0, attempt: int = 1) -> Path:
    return tmp_path / "search" / "trials" / f"{trial:03d}" / f"attempt-{attempt}"


def test_every_step_is_a_report_and_the_last_one_ends_the_trial(
    make: Make, tmp_path: Path
) -> None:
    trial = make()
    results = [trial.step() for _ in range(3)]
    assert [result["report"] for result in results] == [1, 2, 3]
    assert [len(result["history"]) for result in results] == [1, 1, 1]
    assert [result.get("outcome") for result in results] == [None, None, "complete"]
    assert [result.get("done") for result in results] == [None, None, True]
    assert results[0]["facts"] == {"parameters": 2.0}
    assert _scores(results) == sorted(_scores(results))
    json.dumps(results)
    predictions = pq.read_table(_folder(tmp_path) / "best" / "test.parquet")
    assert predictions.column_names == ["id", "p0", "p1"]


def test_what_tune_makes_of_a_step(make: Make) -> None:
    result = make().train()
    assert (result["report"], result["done"], result["training_iteration"]) == (1, False, 1)


def test_a_machine_without_the_storage_makes_none_of_its_own(make: Make, tmp_path: Path) -> None:
    (tmp_path / "search").rmdir()
    with pytest.raises(AttemptError, match="does not see the storage"):
        make().step()
    assert not (tmp_path / "search").exists()


def test_a_misspelt_value_fails_at_the_first_step(make: Make) -> None:
    trial = make(sped=2.0)
    with pytest.raises(AttemptError, match="sped"):
        trial.step()


def test_a_missing_space_is_told(make: Make, tmp_path: Path) -> None:
    trial = make()
    (tmp_path / "walk.py").unlink()
    with pytest.raises(AttemptError, match=r"walk\.py"):
        trial.step()


def test_a_number_that_is_none_ends_the_trial_as_diverged(make: Make, tmp_path: Path) -> None:
    trial = make(behave="diverges")
    results = [trial.step(), trial.step()]
    assert results[-1]["outcome"] == "diverged"
    assert results[-1]["done"] is True
    assert [heard["report"] for heard in results[-1]["history"]] == [2]
    assert not list(_folder(tmp_path).rglob("*.parquet"))


def test_a_task_that_ends_early_is_complete(make: Make, tmp_path: Path) -> None:
    trial = make(behave="ends")
    trial.step()
    last = trial.step()
    assert (last["outcome"], last["done"], last["report"], last["history"]) == (
        "complete",
        True,
        1,
        [],
    )
    assert (_folder(tmp_path) / "best" / "test.parquet").is_file()


def test_a_task_without_a_report_is_a_mistake(make: Make) -> None:
    with pytest.raises(AttemptError, match="without a single report"):
        make(behave="silent").step()


def test_a_report_without_the_metric_is_a_mistake(make: Make) -> None:
    with pytest.raises(AttemptError, match=r"'score'.*\['other'\]"):
        make(behave="misnamed").step()


def test_the_next_attempt_goes_on_and_tells_what_may_be_unheard(make: Make) -> None:
    whole = make(trial=1)
    expected = _scores([whole.step() for _ in range(3)])
    first = make(trial=0, attempt=1)
    first.step()
    first.step()
    again = make(trial=0, attempt=2).step()
    assert [heard["report"] for heard in again["history"]] == [1, 2, 3]
    assert _scores([again]) == expected
    assert (again["outcome"], again["done"]) == ("complete", True)


def test_an_attempt_after_a_failure_goes_on_from_its_last_report(make: Make) -> None:
    trial = make(behave="fails")
    expected = trial.step()["history"]
    for attempt in (1, 2):
        with pytest.raises(AttemptError, match="no more"):
            (trial if attempt == 1 else make(attempt=2, behave="fails")).step()
    again = make(attempt=3).step()
    assert again["report"] == 2
    assert again["history"][0] == expected[0]


def test_an_attempt_passes_over_one_that_never_saved(make: Make, tmp_path: Path) -> None:
    make(attempt=1).step()
    _folder(tmp_path, attempt=2).mkdir()
    assert make(attempt=3).step()["report"] == 2
    assert (_folder(tmp_path, attempt=3) / "best" / "manifest.json").is_file()


def test_a_trial_that_was_all_but_finished_only_finishes(make: Make, tmp_path: Path) -> None:
    first = make(attempt=1)
    for _ in range(3):
        first.step()
    last = make(attempt=2).step()
    assert (last["report"], last["outcome"], last["done"]) == (3, "complete", True)
    assert len(last["history"]) == 3
    assert (_folder(tmp_path, attempt=2) / "best" / "test.parquet").is_file()


def test_an_attempt_that_nobody_heard_of_is_made_anew(make: Make) -> None:
    first = make(attempt=1)
    expected = _scores([first.step(), first.step()])
    again = make(attempt=1)
    assert _scores([again.step(), again.step()]) == expected


def test_a_reused_actor_closes_one_trial_before_another(make: Make, tmp_path: Path) -> None:
    fresh = make(trial=5, seed=3)
    expected = [fresh.step() for _ in range(3)]
    note = tmp_path / "closed"
    trial = make(trial=0, note=str(note))
    trial.step()
    assert not note.exists()
    assert trial.reset_config({"trial": 1, "attempt": 1, "values": {"seed": 3}})
    assert note.exists()
    assert _scores([trial.step() for _ in range(3)]) == _scores(expected)


def test_stopping_closes_the_generator(make: Make, tmp_path: Path) -> None:
    note = tmp_path / "closed"
    trial = make(note=str(note))
    trial.step()
    trial.stop()
    assert note.exists()


def test_told_to_end_it_begins_no_other_report_and_another_attempt_goes_on(
    make: Make, tmp_path: Path
) -> None:
    whole = _scores([trial.step() for trial in [make(trial=1)] for _ in range(3)])
    first = make()
    first.step()
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(AttemptError, match="behind report 1"):
        first.step()
    assert first.run.done == 1
    with pytest.raises(AttemptError, match="before it began"):
        told = make(trial=2)
        told._tell_to_end(signal.SIGTERM, None)
        told.step()
    second = make(attempt=2)
    assert _scores([second.step(), second.step()]) == whole


def test_killed_while_it_took_over_from_an_earlier_attempt_the_next_has_all(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(speed=-1.0)  # so that the first report stays the best
    first.step()
    copied = checkpoint.copy

    def killed(source: Path, target: Path) -> bool:
        copied(source, target)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "copy", killed)
        with pytest.raises(KeyboardInterrupt):
            make(attempt=2, speed=-1.0).step()
    make(attempt=3, speed=-1.0).step()
    saved = checkpoint.read(_folder(tmp_path, attempt=3) / "best")
    assert saved is not None
    assert saved[0]["report"] == 1


def test_told_to_end_in_the_middle_of_a_report_it_is_put_down_there(make: Make) -> None:
    whole = _scores([trial.step() for trial in [make(trial=1)] for _ in range(3)])
    first = make(behave="taken")
    first.step()
    with pytest.raises(AttemptError, match="this trial was put down in the middle of report 2"):
        first.step()
    second = make(attempt=2, behave="taken")
    assert _scores([second.step(), second.step()]) == whole
