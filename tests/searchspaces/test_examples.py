"""The examples for other libraries: searched, stopped and resumed as their users would."""

from __future__ import annotations

import importlib.util
import multiprocessing
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from searchspaces.loading import load_space
from tests.support.paths import ROOT
from tests.support.searches import read_ledger
from trainables.errors import TaskError
from trainables.loop import end_loop, start_loop
from trainables.ranking import Mode
from trainables.run import Run
from trainables.saved_run import check_loads

FOLDER = ROOT / "searchspaces" / "examples"
LIBRARIES = {
    "pytorch_digits": "torch",
    "distributed_digits": "torch",
    "lightning_digits": "lightning",
    "transformers_texts": "accelerate",
    "xgboost_table": "xgboost",
    "lightgbm_table": "lightgbm",
    "sklearn_digits": "skops",
}
HOLDING: dict[str, Mode] = {
    "lightning_digits": "min",
    "transformers_texts": "min",
    "xgboost_table": "max",
    "lightgbm_table": "max",
}
"""Examples whose library has the model in its own checkpoints, and by which mode of its metric the
last of three reports is not the best one."""
NETWORKS = ("torch", "lightning", "accelerate")
"""Libraries whose models have a number of parameters."""
TIMES = re.compile("runtime|_per_second")
"""Metrics of Hugging Face that depend on the machine."""


def mark_slow(name: str) -> Any:
    """Return an example as a parameter; one whose trials start processes is slow."""
    marks = [pytest.mark.slow] if name == "distributed_digits" else []
    return pytest.param(name, marks=marks)


@pytest.fixture(params=map(mark_slow, LIBRARIES))
def file(request: pytest.FixtureRequest) -> Path:
    """Return the file of an example whose library is installed."""
    library = LIBRARIES[request.param]
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"needs {library}: pip install '.[dev]'")
    return FOLDER / f"{request.param}.py"


def drive(space: Any, run: Run, most: int = 99) -> list[dict[str, float]]:
    """Return the reports of the default configuration, closed after a number of them."""
    loop = start_loop(space.train, space.config(), run)
    reports = []
    for _, report in zip(range(most), loop, strict=False):
        reports.append(run.record(report, loop))
        if run.done >= run.reports:
            end_loop(loop)
            run.finish()
            break
    loop.close()
    # How long it took differs.
    return [
        {k: v for k, v in r.items() if "runtime" not in k and "_per_" not in k} for r in reports
    ]


def test_there_is_an_example_for_every_integration() -> None:
    assert {path.stem for path in FOLDER.glob("*.py")} == LIBRARIES.keys()
    pieces = {path.stem for path in (ROOT / "trainables/integrations").glob("[a-z]*.py")}
    assert pieces == {name.partition("_")[0] for name in LIBRARIES} - {"pytorch", "distributed"}


def test_an_integration_has_at_most_40_lines() -> None:
    for path in (ROOT / "trainables/integrations").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path


def test_a_resumed_example_has_the_numbers_of_an_undisturbed_one(
    file: Path, tmp_path: Path
) -> None:
    space = load_space(str(file))
    settings: dict[str, Any] = {"metric": space.metric, "mode": space.mode}
    whole = drive(space, Run(3, folder=tmp_path / "whole", **settings))
    assert len(whole) == 3
    cut = drive(space, Run(3, folder=tmp_path / "cut", **settings), 1)
    assert not multiprocessing.active_children()
    assert not [t for t in threading.enumerate() if t.name == "tunery-task"]
    run = Run(3, folder=tmp_path / "cut", **settings)
    assert cut + drive(space, run) == whole
    assert (run.done, run.notes) == (3, [])
    assert ("parameters" in run.facts) == (LIBRARIES[file.stem] in NETWORKS)


@pytest.mark.timeout(300)  # one of them starts two processes per trial
def test_an_example_is_searched(
    file: Path, tune_inline: Callable[..., tuple[int, str]], runs: Path
) -> None:
    code, output = tune_inline("--space", file, "--trials", 4, "--reports", 3)
    assert code == 0, output
    logs = read_ledger(runs / file.stem).trial_logs
    assert {log.outcome for log in logs.values()} == {"complete", "stopped"}
    assert not [log.failures for log in logs.values() if log.failures]


def test_the_predictions_of_scikit_learn_are_kept(tmp_path: Path) -> None:
    pytest.importorskip("skops", reason="needs skops: pip install '.[sklearn]'")
    space = load_space(str(FOLDER / "sklearn_digits.py"))
    drive(space, Run(3, "accuracy", "max", folder=tmp_path))
    assert space.prepare is not None
    targets = space.prepare(space.config(), Run(1)).targets
    for split in ("validation", "test"):
        table = pq.read_table(tmp_path / "best" / f"{split}.parquet")
        assert (table.num_rows, table.num_columns) == (len(targets[split]), 11)


@pytest.mark.parametrize("name", HOLDING)
def test_a_library_that_holds_the_model_predicts_at_the_best_report(
    name: str, tmp_path: Path
) -> None:
    pytest.importorskip(LIBRARIES[name])
    space = load_space(str(FOLDER / f"{name}.py"))
    run = Run(3, space.metric, HOLDING[name], folder=tmp_path)
    run.keep_predictions(validation=lambda: np.array([run.done]))
    drive(space, run)
    assert 1 <= run.best_report < 3
    kept = pq.read_table(tmp_path / "best" / "validation.parquet")["answer"].to_pylist()
    assert kept == [run.best_report]


def test_xgboost_reports_and_predicts_where_it_stops_early(tmp_path: Path) -> None:
    """Noisy labels: the best report is not the last, and a report is left over at the end."""
    xgboost = pytest.importorskip("xgboost")
    from trainables.integrations.xgboost import ReportCallback

    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 5))
    y = (x[:, 0] + draw.normal(size=300) > 0).astype(int)
    data, held_out = xgboost.DMatrix(x[:200], y[:200]), xgboost.DMatrix(x[200:], y[200:])
    run = Run(30, metric="validation-logloss", mode="min", folder=tmp_path)
    report = ReportCallback(run, rounds=4)
    run.keep_predictions(validation=lambda: report.model.predict(held_out))
    settings = {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1, "eta": 0.5}
    evals = [(held_out, "validation")]
    stop = xgboost.callback.EarlyStopping(9)
    more = {"evals": evals, "callbacks": [report, stop], "verbose_eval": False}
    xgboost.train(settings, data, num_boost_round=report.left, xgb_model=report.path, **more)
    run.finish()
    assert 1 <= run.best_report < run.done < 30
    kept = pq.read_table(tmp_path / "best" / "validation.parquet")["answer"].to_numpy()
    losses = -np.log(np.where(y[200:], kept, 1 - kept))
    assert losses.mean() == pytest.approx(run.score, rel=1e-4)


def test_lightgbm_reports_the_model_that_early_stopping_leaves(tmp_path: Path) -> None:
    """The best round is one between two reports."""
    lightgbm = pytest.importorskip("lightgbm")
    from trainables.integrations.lightgbm import ReportCallback

    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 5))
    y = (x[:, 0] + draw.normal(size=300) > 0).astype(int)
    settings = {"objective": "binary", "metric": "binary_logloss", "learning_rate": 0.5}
    settings |= {"num_threads": 1, "verbose": -1}

    def train(run: Run) -> Any:
        data = lightgbm.Dataset(x[:200], y[:200])
        with ReportCallback(run, rounds=4) as report:
            run.keep_predictions(validation=lambda: report.model.predict(x[200:]))
            model = lightgbm.train(
                settings,
                data,
                num_boost_round=report.left,
                valid_sets=[lightgbm.Dataset(x[200:], y[200:], reference=data)],
                valid_names=["validation"],
                callbacks=[report, lightgbm.early_stopping(9, verbose=False)],
                init_model=report.path,
            )
        run.finish()
        return model

    run = Run(30, metric="validation-binary_logloss", mode="min", folder=tmp_path / "stops")
    best = train(run).best_iteration
    rounds = best + 9
    assert best % 4 and rounds % 4 and run.best_report == run.done == rounds // 4 + 1
    kept = pq.read_table(tmp_path / "stops" / "best" / "validation.parquet")["answer"].to_numpy()
    losses = -np.log(np.where(y[200:], kept, 1 - kept))
    assert losses.mean() == pytest.approx(run.score, rel=1e-6)
    run = Run(2, metric="validation-binary_logloss", mode="min", folder=tmp_path / "ends")
    train(run)
    assert run.done == 2


def test_a_table_of_ones_own_is_read(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="needs accelerate: pip install '.[dev]'")
    rows = [f"{'a b' if n % 2 else 'c d e'},{n % 2}" for n in range(40)]
    (tmp_path / "mine.csv").write_text("\n".join(["text,label", *rows]))
    space = load_space(str(FOLDER / "transformers_texts.py"))
    run = Run(1, "eval_loss", "min")
    loop = start_loop(space.train, space.config(table=tmp_path / "mine.csv"), run)
    assert 0 <= run.record(next(loop), loop)["eval_accuracy"] <= 1
    loop.close()


def test_the_readme_counts_the_changed_lines() -> None:
    """A line of the training is changed where it uses the run, or what an integration has made."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in LIBRARIES:
        row = rf"^\|.*\(searchspaces/examples/{name}\.py\) *\| *(\d+) *\|$"
        (count,) = re.findall(row, readme, re.M)
        _, _, text = (FOLDER / f"{name}.py").read_text().partition("\ndef train(")
        lines = text.partition("\ndef suggest(")[0].splitlines()[1:]
        lines = [line for line in lines if not line.startswith("def ")]
        changed = [s for s in lines if re.search(r"\b(run|report|Estimator)\b", s)]
        assert int(count) == len(changed), (name, changed)


def test_an_estimator_that_would_not_be_loaded_again_is_told_at_its_first_report(
    tmp_path: Path,
) -> None:
    pytest.importorskip("skops", reason="needs skops: pip install '.[sklearn]'")
    from trainables.integrations.sklearn import Estimator

    run = Run(2, folder=tmp_path / "one")
    run.resume(model=Estimator(Scale(2.0)))
    with pytest.raises(TaskError, match=r"has \S+\.Scale: .*, trusted=\(Scale,\)"):
        run.record({"loss": 1.0})
    known = Estimator(Scale(2.0), trusted=(Scale,))
    known.save(tmp_path / "scale")
    known.model = None
    known.load(tmp_path / "scale")
    assert known.model.by == 2.0


def test_a_checkpoint_that_would_not_be_loaded_again_is_told(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.ckpt", tmp_path / "bad.ckpt"
    torch.save({"weights": torch.ones(2), "hyper_parameters": {"rate": 0.1}}, good)
    torch.save({"weights": torch.ones(2), "hyper_parameters": {"config": Scale(2.0)}}, bad)
    check_loads(good, "")
    with pytest.raises(TaskError, match=r"bad\.ckpt would not .*: it has \S+\.Scale, which"):
        check_loads(bad, "a fix")


class Scale:
    """A part that is not scikit-learn's."""

    def __init__(self, by: float) -> None:
        self.by = by
