from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.distributions import FloatDistribution

from cluster.api import tune
from cluster.result import Result
from cluster.sampling.ranges import format_number
from trainables.errors import DamagedFileError, UserError
from trainables.run import Loop, Run


@pytest.fixture(autouse=True)
def database(empty_database: Path, tmp_path: Path) -> None:
    """Put an MLflow database into the storage: its tables take seconds, a copy does not."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")


def train(config: Any, run: Run) -> Loop:
    for step in range(run.reports):
        yield {"reports": config.seconds + step, "loss": 1.0}


def failing(config: Any, run: Run) -> Loop:
    raise RuntimeError("no")
    yield {}


def search(folder: Path, task: Any = train) -> Result:
    return tune(
        task,
        suggest={"seconds": FloatDistribution(0, 1)},
        metric="reports",
        mode="max",
        trials=3,
        reports=2,
        executor="inline",
        storage=folder,
        scheduler="none",
        quiet=True,
    )


def test_tables_have_every_trial_and_report(tmp_path: Path) -> None:
    result = search(tmp_path)
    trials, curves = result.trials, result.curves
    assert list(trials.reports) == [2, 2, 2]  # the trial's number of reports, not the metric
    assert list(trials["config.seconds"] + 1) == list(trials.score)
    assert len(curves) == 6
    assert curves.loc[(1, 2), "reports"] == trials.score[1]
    assert result.best.trial == trials.score.idxmax()
    assert "<table" in result._repr_html_()


def test_metrics_called_trial_and_report_stand_beside_those_of_the_index(tmp_path: Path) -> None:
    def train(config: Any, run: Run) -> Loop:
        yield {"loss": config.x, "trial": 7.0, "report": 8.0}

    result = tune(
        train,
        suggest={"x": FloatDistribution(0, 1)},
        **{"metric": "loss", "mode": "min", "trials": 2, "reports": 1, "executor": "inline"},
        storage=tmp_path,
        quiet=True,
    )
    curves = result.curves
    assert list(curves.index) == [(0, 1), (1, 1)]
    assert list(curves["metric.trial"]) == [7.0, 7.0]
    assert list(curves["metric.report"]) == [8.0, 8.0]


def test_a_report_is_written_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    report = search(tmp_path).report(tmp_path / "out")
    assert (report.folder / "report.md").read_text() == report.text
    assert "training_curves" in report.figures
    assert f"]({tmp_path}/out/figures/" in report._repr_markdown_()


def test_without_a_score_there_is_no_winner(tmp_path: Path) -> None:
    result = search(tmp_path, failing)
    assert result.exit_code == 1
    assert repr(result) == f"failing: no trial of 3 has a score\n{result.folder}"
    assert set(result.trials.outcome) == {"failed"}
    for name in ("best", "checkpoint"):
        with pytest.raises(UserError, match=r"no trial of .* has a score"):
            getattr(result, name)


def test_a_result_is_a_few_lines_of_text(tmp_path: Path) -> None:
    result = search(tmp_path)
    lines = repr(result).splitlines()
    best = result.best
    assert lines[0] == f"train: best reports {format_number(best.score)}, trial {best.trial} of 3"
    assert lines[1] == f"  seconds={format_number(best.config.seconds)}, seed={best.config.seed}"
    assert str(result.folder) in lines[2] and "result.resume(trials=20)" in lines[3]
    (result.folder / "trials" / "001" / "reports.jsonl").unlink()
    assert "missing" in repr(result)


def test_a_result_keeps_its_trials_when_the_search_is_extended(tmp_path: Path) -> None:
    before = search(tmp_path)
    after = before.resume(trials=2)
    assert (len(before.trials), len(after.trials)) == (3, 5)
    assert set(before.curves.index.get_level_values("trial")) == {0, 1, 2}


def test_a_damaged_log_is_told(tmp_path: Path) -> None:
    result = search(tmp_path)
    (result.folder / "trials" / "001" / "reports.jsonl").unlink()
    with pytest.raises(DamagedFileError, match="missing"):
        _ = result.trials
    assert len(result.resume().trials) == 3


def test_a_model_is_the_winners(tmp_path: Path) -> None:
    result = tune("digits", trials=2, reports=1, executor="inline", storage=tmp_path, quiet=True)
    model = result.model()
    probabilities = model(model.example)
    assert probabilities.shape == (1, 10)
    assert np.allclose(probabilities.sum(1), 1, atol=1e-5)


def test_a_space_without_restore_has_no_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no function `restore`"):
        search(tmp_path).model()
