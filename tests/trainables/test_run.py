"""A run counts its reports, saves them, and resumes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from torch import nn

from trainables import checkpoint
from trainables.errors import DamagedFileError, TaskError, UserError
from trainables.run import Loop, Run, seed_everything
from trainables.saved_run import copy_saved_run


def _task(run: Run, scores: list[float]) -> Loop:
    """Report these scores; the model's weight is how many reports it has trained for."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    run.keep_predictions(test=lambda: model.weight.detach().numpy().copy())
    for report in run.resume(model=model, order=torch.Generator().manual_seed(0)):
        with torch.no_grad():
            model.weight += 1
        yield {"score": scores[report], "drawn": float(torch.rand(()))}


def _drive(run: Run, scores: list[float], most: int = 99) -> list[float]:
    loop = _task(run, scores)
    drawn = []
    for _, metrics in zip(range(most), loop, strict=False):
        run.record(metrics)
        drawn.append(metrics["drawn"])
    loop.close()
    return drawn


def _run(folder: Path | None, reports: int = 4, **settings: Any) -> Run:
    return Run(reports, metric="score", folder=folder, **settings)


def _weight(folder: Path) -> float:
    found = checkpoint.read(folder)
    assert found is not None
    return float(found[1]["parts"]["model"]["weight"])


def _report(folder: Path) -> int:
    found = checkpoint.read(folder)
    assert found is not None
    return int(found[0]["report"])


def test_a_run_without_a_folder_counts_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = _run(None, cache=tmp_path)
    _drive(run, [0.1, 0.4, 0.3, 0.2])
    run.finish()
    assert (run.done, run.score, run.best_report) == (4, 0.4, 2)
    assert [entry["report"] for entry in run.history] == [1, 2, 3, 4]
    assert [entry["metrics"]["score"] for entry in run.history] == [0.1, 0.4, 0.3, 0.2]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("mode", "best"), [("max", 2), ("min", 3)])
def test_last_has_the_newest_weights_and_best_the_best(
    tmp_path: Path, mode: Any, best: int
) -> None:
    run = _run(tmp_path, mode=mode)
    _drive(run, [0.2, 0.4, 0.1, 0.3])
    assert run.best_report == best
    assert _weight(tmp_path / "last") == 4
    assert _weight(tmp_path / "best") == best


def test_of_equal_scores_the_first_is_the_best(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _drive(run, [0.5, 0.5, 0.5, 0.5])
    assert run.best_report == _weight(tmp_path / "best") == 1


def test_predictions_are_made_once_on_the_best_weights(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _drive(run, [0.2, 0.4, 0.1, 0.3])
    assert not list(tmp_path.rglob("*.parquet"))
    run.finish()
    assert pq.read_table(tmp_path / "best" / "test.parquet")["p0"].to_pylist() == [2.0]


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(tmp_path: Path, first: int) -> None:
    scores = [0.2, 0.4, 0.1, 0.3]
    torch.manual_seed(7)
    whole = _run(tmp_path / "whole")
    expected = _drive(whole, scores)
    whole.finish()
    torch.manual_seed(7)
    part = _drive(_run(tmp_path / "cut"), scores, first)
    torch.manual_seed(12345)
    run = _run(tmp_path / "cut")
    assert part + _drive(run, scores) == expected
    run.finish()
    assert (run.done, run.score, run.best_report) == (4, 0.4, 2)
    assert [entry["metrics"] for entry in run.history] == [
        entry["metrics"] for entry in whole.history
    ]
    for name in ("last", "best"):
        assert _weight(tmp_path / "cut" / name) == _weight(tmp_path / "whole" / name)
    assert pq.read_table(tmp_path / "cut" / "best" / "test.parquet")["p0"].to_pylist() == [2.0]


def test_a_longer_budget_continues_where_a_shorter_one_ended(tmp_path: Path) -> None:
    _drive(_run(tmp_path, reports=2), [0.1, 0.2])
    run = _run(tmp_path, reports=3)
    assert len(_drive(run, [0.1, 0.2, 0.3])) == 1
    assert _weight(tmp_path / "last") == 3


def test_device_time_adds_up_over_attempts(tmp_path: Path) -> None:
    first = _run(tmp_path, reports=2)
    _drive(first, [0.1, 0.2])
    second = _run(tmp_path, reports=3)
    _drive(second, [0.1, 0.2, 0.3])
    seconds = [entry["seconds"] for entry in second.history]
    assert seconds == sorted(seconds)
    assert second.seconds > first.seconds > 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_report_whose_score_is_not_finite_is_recorded_but_not_saved(
    tmp_path: Path, bad: float
) -> None:
    run = _run(tmp_path)
    _drive(run, [0.2, bad, 0.3, 0.1], 2)
    assert len(run.history) == 2
    assert run.diverged == f"score is {bad} at report 2"
    assert (run.score, run.best_report) == (0.2, 1)
    assert _weight(tmp_path / "last") == _weight(tmp_path / "best") == 1


def test_other_metrics_may_be_undefined_or_missing(tmp_path: Path) -> None:
    run = Run(4, metric="loss", mode="min", folder=tmp_path)
    reports = [{"f1": float("nan")}, {}, {"f1": float("inf")}, {"f1": 1.0}]
    for report in run.resume(model=nn.Linear(1, 1)):
        run.record({"loss": 1.0 - 0.1 * report, **reports[report]})
        assert not run.diverged
    assert (run.best_report, _report(tmp_path / "best"), _report(tmp_path / "last")) == (4, 4, 4)
    assert [set(entry["metrics"]) for entry in run.history][1] == {"loss"}


def test_what_is_recorded_are_floats() -> None:
    run = Run(1, metric="loss")
    run.facts["rows"] = np.int64(3)
    given = {"loss": torch.tensor(0.5), "n": np.float32(2), "ok": True}
    assert run.record(given) == run.history[0]["metrics"] == {"loss": 0.5, "n": 2.0, "ok": 1.0}
    assert run.facts == {"rows": 3.0}
    with pytest.raises(TaskError, match="a report lacks the searched metric 'loss'; it has 'n'"):
        run.record({"n": 1})
    run.facts["name"] = "x"  # type: ignore[assignment]
    with pytest.raises(TaskError, match=r"run.facts 'name' is 'x' \(str\), not a number"):
        run.record({"loss": 1})


def test_a_run_without_a_report_or_without_its_best_weights_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match="without a single report"):
        Run(1).finish()
    run = Run(2, metric="score", folder=tmp_path)
    run.keep_predictions(test=lambda: np.zeros((2, 2)))
    run.record({"score": 1.0})
    run.finish()  # the best report is the last: its state is there
    assert (tmp_path / "best" / "test.parquet").exists()
    run.keep_predictions(test=lambda: [1, 2])  # type: ignore[arg-type, return-value]
    run.finish()
    assert pq.read_table(tmp_path / "best" / "test.parquet")["answer"].to_pylist() == [1, 2]
    run.keep_predictions(test=lambda: np.zeros(()))
    with pytest.raises(TaskError, match=r"the predictions of 'test' are .*test_run.py, line \d+"):
        run.finish()
    with pytest.raises(TaskError, match=r"the predictions of 'test' are None"):
        run.keep_predictions(test=None)  # type: ignore[arg-type]
    run.record({"score": 0.0})
    with pytest.raises(
        TaskError,
        match=r"the best report is 1 of 2, and its weights were not saved for test\.parquet",
    ):
        run.finish()
    _drive(run := _run(tmp_path), [0.4, 0.1, 0.3, 0.2])
    (tmp_path / "best" / "manifest.json").unlink()
    with pytest.raises(DamagedFileError, match="best is missing"):
        run.finish()


def test_predictions_are_those_of_the_best_report_without_any_part(tmp_path: Path) -> None:
    calls: list[int] = []
    run = Run(4, metric="score", folder=tmp_path)

    def predict() -> np.ndarray:
        calls.append(run.done)
        return np.array([run.done])

    run.keep_predictions(test=predict)
    run.add_artifact("note.md", lambda path: path.write_text(f"report {run.done}") and None)
    for score in (0.1, 0.4, 0.2, 0.3):
        run.record({"score": score})
    run.finish()
    assert pq.read_table(tmp_path / "best" / "test.parquet")["answer"].to_pylist() == [2]
    assert (tmp_path / "best" / "note.md").read_text() == "report 2"
    assert calls == [1, 2], "each improvement is predicted once"
    again = Run(4, metric="score", folder=tmp_path)
    assert list(again.resume()) == [0, 1, 2, 3], "nothing was saved to continue from"


def test_predictions_are_those_of_the_best_report_beside_a_frameworks_checkpoint(
    tmp_path: Path,
) -> None:
    """Its files can be restored, but not into the model that the framework has in memory."""

    def train(run: Run, scores: list[float], early: bool = True) -> None:
        file = run.checkpoint_dir / "model.txt"
        if early:
            run.keep_predictions(test=lambda: np.array([run.done]))
        for score in scores[run.done :]:
            file.write_text(f"{run.done}")
            run.record({"score": score})
        if not early:
            run.keep_predictions(test=lambda: np.array([run.done]))

    train(run := Run(4, metric="score", folder=tmp_path / "a"), scores := [0.1, 0.4, 0.2, 0.3])
    run.finish()
    assert pq.read_table(tmp_path / "a/best/test.parquet")["answer"].to_pylist() == [2]
    train(Run(4, metric="score", folder=tmp_path / "b"), scores[:3])
    copy_saved_run(tmp_path / "b", tmp_path / "c")
    train(again := Run(4, metric="score", folder=tmp_path / "c"), scores)
    again.finish()
    assert pq.read_table(tmp_path / "c/best/test.parquet")["answer"].to_pylist() == [2]
    train(late := Run(4, metric="score", folder=tmp_path / "d"), scores, early=False)
    with pytest.raises(TaskError, match=r"is 2 of 4[^$]*register that before"):
        late.finish()


@pytest.mark.parametrize("folder", [None, "out"])
def test_a_part_that_cannot_be_saved_is_rejected_at_once(
    tmp_path: Path, folder: str | None
) -> None:
    class Half:
        def state_dict(self) -> dict[str, int]:
            return {}

    run = Run(1, folder=tmp_path / folder if folder else None)
    for part in ([1.0], Half(), nn.Linear, None):
        with pytest.raises(TaskError, match=r"Run\.resume cannot save the part 'best'"):
            run.resume(model=nn.Linear(1, 1), best=part)
    run.resume(model=nn.Linear(1, 1), order=torch.Generator())


@pytest.mark.parametrize(
    "damaged", ["last/state-2.safetensors", "last/manifest.json", "best/manifest.json", "history"]
)
def test_a_run_with_a_damaged_file_starts_again_and_says_so(tmp_path: Path, damaged: str) -> None:
    torch.manual_seed(7)
    scores = [0.2, 0.4, 0.1, 0.3]
    expected = _drive(_run(tmp_path / "whole"), scores)
    _drive(_run(tmp_path / "cut"), scores, 2)
    path = tmp_path / "cut" / damaged.replace("history", "last/history-00000.jsonl")
    content = bytearray(path.read_bytes())
    content[30] ^= 4
    path.write_bytes(content)
    torch.manual_seed(7)
    run = _run(tmp_path / "cut")
    assert _drive(run, scores) == expected
    (note,) = run.notes
    assert "is damaged: " in note and str(path.parent) in note
    assert note.endswith("the training starts again from its first report")
    assert [entry["report"] for entry in run.history] == [1, 2, 3, 4]
    again = _run(tmp_path / "cut")
    assert not _drive(again, scores)
    assert (again.history, again.notes) == (run.history, [])


def test_a_run_without_damage_has_no_notes(tmp_path: Path) -> None:
    _drive(_run(tmp_path), [0.1, 0.2, 0.3, 0.4], 2)
    run = _run(tmp_path)
    run.resume(model=nn.Linear(1, 1, bias=False), order=torch.Generator())
    assert (run.notes, run.done) == ([], 2)


def test_parts_are_registered_once() -> None:
    run = Run(reports=1)
    run.resume(model=nn.Linear(1, 1))
    with pytest.raises(TaskError, match="twice"):
        run.resume(model=nn.Linear(1, 1))


def test_parameters_are_counted() -> None:
    run = Run(reports=1)
    model = nn.Linear(3, 2)
    run.resume(model=model, optimizer=torch.optim.SGD(model.parameters()))
    assert run.facts == {"parameters": 8.0}


def test_a_budget_without_reports_is_rejected() -> None:
    with pytest.raises(UserError, match="reports=0: a trial makes at least 1 report"):
        Run(reports=0)


def test_only_tables_json_and_safetensors_are_written(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _drive(run, [0.2, 0.4, 0.1, 0.3])
    run.finish()
    written = {path.suffix for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {".json", ".jsonl", ".safetensors", ".parquet"}


def test_seeding_reaches_every_generator() -> None:
    def drawn(seed: int) -> tuple[float, ...]:
        generator = seed_everything(seed)
        rand = torch.rand(1, generator=generator)
        return random.random(), float(np.random.rand()), float(torch.rand(())), float(rand)

    first, again, other = drawn(3), drawn(3), drawn(4)
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))


def test_artifacts_are_written_from_the_best_weights(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    model = torch.nn.ParameterList([weight])
    run = Run(reports=3, metric="score", folder=tmp_path)
    run.add_artifact("weight.md", lambda path: path.write_text(f"{weight.item():g}") and None)
    for report in run.resume(model=model):
        weight.data.fill_(report)
        run.record({"score": float(report == 1)})
    run.finish()
    assert (tmp_path / "best" / "weight.md").read_text() == "1"


@pytest.mark.parametrize("write", [lambda path: path.mkdir(), lambda path: None])
def test_an_artifact_is_a_file(tmp_path: Path, write: Callable[[Path], None]) -> None:
    run = Run(reports=1, metric="score", folder=tmp_path)
    run.add_artifact("a.md", write)
    with pytest.raises(TaskError, match=r"the artifact 'a\.md' is no file \(.*test_run\.py, line"):
        run.record({"score": 1.0})


def test_an_artifact_of_an_earlier_report_is_not_kept_for_a_later_one(tmp_path: Path) -> None:
    run = Run(reports=2, metric="score", folder=tmp_path)
    run.add_artifact("a.md", lambda path: path.touch() if run.done == 1 else None)
    run.record({"score": 1.0})
    with pytest.raises(TaskError, match="is no file"):
        run.record({"score": 2.0})


def test_a_new_run_with_the_same_settings_is_at_its_start(tmp_path: Path) -> None:
    run = _run(tmp_path)
    _drive(run, [0.2, 0.4, 0.1, 0.3])
    again = replace(run, folder=None, reports=2)
    assert (again.done, again.score, again.best_report) == (0, None, 0)
    assert (again.history, again.facts, again.parts) == ([], {}, {})
    assert (again.reports, again.metric, list(again.remaining)) == (2, "score", [0, 1])


def test_out_of_patience_counts_reports_since_the_best(tmp_path: Path) -> None:
    run = _run(None)
    _drive(run, [0.4, 0.1, 0.3, 0.2])
    assert run.best_report == 1
    assert run.out_of_patience(3) and not run.out_of_patience(4)
    assert not run.out_of_patience(0)
