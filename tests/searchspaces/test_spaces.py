"""The contract of every search space, tested with two short reports on placeholder data."""

from __future__ import annotations

import gc
import threading
import time
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pyarrow.parquet as pq
import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from searchspaces.catalog import list_names
from searchspaces.codec import encode_values
from searchspaces.loading import load_space
from searchspaces.overrides import build_config
from searchspaces.parameters import find_parameters
from searchspaces.space import SearchSpace
from searchspaces.suggestion import config_field, run_suggest
from tests.support.paths import ROOT
from trainables.errors import PreemptedError
from trainables.ranking import is_finite
from trainables.run import Run

# Values that make a space's trial short; a space that is missing here keeps its defaults.
SMALL: dict[str, dict[str, Any]] = {
    "agnews_features": {"encoder": "tiny"},
    "cartpole_dqn": {
        **{"steps": 256, "environments": 2, "warm_up": 16, "train_every": 8, "updates": 4},
        **{"batch_size": 8, "learning_rate": 0.1, "target_every": 30, "width": 8, "episodes": 2},
    },
    "cartpole_ppo": {
        **{"steps": 64, "environments": 2, "rollout": 16, "epochs": 2, "batch_size": 8},
        **{"learning_rate": 0.05, "width": 8, "episodes": 2},
    },
    "cifar10_depth": {"filters": 2, "batch_size": 256},
    "cifar10_distill": {"filters": 4, "teacher_filters": 2, "teacher_epochs": 1},
    "cifar10_gradients": {"filters": 2, "batches": 2, "batch_size": 16},
    "dante_gpt": {"layers": 1, "heads": 2, "width": 16, "block": 16, "batch_size": 4, "steps": 4},
    "digits": {"epochs": 1, "width": 16},
    "flowers_depth": {"size": 16, "batch_size": 128},
    "flowers_finetune": {
        "size": 32,
        "backbone": "shufflenet_v2_x0_5",
        "every": 2,
        "batch_size": 8,
    },
    "lunarlander_dqn": {
        **{"steps": 256, "environments": 2, "warm_up": 16, "train_every": 8, "updates": 4},
        **{"batch_size": 8, "learning_rate": 0.1, "target_every": 30, "width": 8, "episodes": 2},
    },
    "lunarlander_ppo": {
        **{"steps": 64, "environments": 2, "rollout": 16, "epochs": 2, "batch_size": 8},
        **{"learning_rate": 0.05, "width": 8, "episodes": 2},
    },
    "mit67_autoencoder": {
        **{"size": 16, "filters": 2, "blocks": 4, "fc_width": 8, "batch_size": 64},
        "pretrain_epochs": 1,
    },
    "mit67_pyramid": {"size": 16, "filters": 2, "blocks": 4, "fc_width": 8, "batch_size": 64},
    "mit67_transfer": {"size": 32, "backbone": "shufflenet_v2_x0_5", "unfrozen": 40},
    "mathematics_rnn": {"count": 90, "embedding": 8, "hidden": 16},
    "mnist_mlp": {"width": 64},
    "mnist_warmup": {"batch_size": 64},
    "own_photos": {"size": 32, "shift": 2, "backbone": "shufflenet_v2_x0_5", "unfrozen": 40},
    "own_table": {"steps": 4, "width": 16},
    "own_texts": {"encoder": "tiny"},
    "rotten_features": {"encoder": "tiny"},
    "rotten_lora": {"encoder": "tiny", "epochs": 1, "batch_size": 16},
    "svhn_150k": {"stem": 8, "width": 8, "growth": 8, "batch_size": 128},
    "svhn_augment": {"batch_size": 64},
    "svhn_batch": {"batch_size": 64},
    "svhn_extra": {"batch_size": 64},
    "svhn_optimizer": {"batch_size": 64},
    "svhn_rate": {"batch_size": 64},
    "svhn_transfer": {"epochs": 1, "source_epochs": 1},
}
REPORTS = 2
WHOLE = {
    *("agnews_features", "own_texts", "rotten_features", "cifar10_gradients"),
    *("cartpole_dqn", "cartpole_ppo", "lunarlander_dqn", "lunarlander_ppo"),
}
"""Spaces whose loops end after a report, never within one."""


@pytest.fixture(scope="module", params=list_names())
def space(request: pytest.FixtureRequest) -> SearchSpace[Any]:
    return load_space(request.param)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


Reports = list[dict[str, float]]


class Trials:
    """Runs short trials of a space."""

    def __init__(self, space: SearchSpace[Any], cache: Path) -> None:
        self.space = space
        self.cache = cache

    def config(self, **values: Any) -> Any:
        return build_config(self.space, {**SMALL.get(self.space.name, {}), **values})

    def run(self, folder: Path | None = None, **settings: Any) -> Run:
        chosen: dict[str, Any] = {"reports": REPORTS, **settings}
        return Run(
            metric=self.space.metric,
            mode=self.space.mode,
            source="placeholder",
            cache=self.cache,
            folder=folder,
            **chosen,
        )

    def train(self, run: Run, most: int = 99, **values: Any) -> Reports:
        loop = self.space.train(self.config(**values), run)
        reports = []
        for _, metrics in zip(range(most), loop, strict=False):
            run.record(metrics)
            reports.append(dict(metrics))
        loop.close()
        return reports


def list_trained() -> list[Any]:
    """Return all spaces; where several share a task, all but the first are marked slow."""
    tasks: set[str] = set()
    listed = []
    for name in list_names():
        task = load_space(name).config.__module__
        listed.append(pytest.param(name, marks=[pytest.mark.slow] if task in tasks else []))
        tasks.add(task)
    return listed


@pytest.fixture(scope="module", params=list_trained())
def trials(request: pytest.FixtureRequest, cache: Path) -> Trials:
    return Trials(load_space(request.param), cache)


@pytest.fixture(scope="module")
def finished(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Reports]:
    """A finished trial, with its reports."""
    run = trials.run(tmp_path_factory.mktemp("trial"))
    reports = trials.train(run)
    run.finish()
    return run, reports


def _contains(distribution: BaseDistribution, value: Any) -> bool:
    try:
        return bool(distribution._contains(distribution.to_internal_repr(value)))
    except ValueError:
        return False


def _find_ranges(space: SearchSpace[Any], values: dict[str, Any]) -> dict[str, BaseDistribution]:
    """Return the distributions that `suggest` uses if it gets these values."""
    calls: dict[str, BaseDistribution] = {}

    def answer(name: str, distribution: BaseDistribution) -> Any:
        calls[name] = distribution
        return values[config_field(name)]

    run_suggest(space, answer)
    return calls


def _change(distribution: BaseDistribution, value: Any) -> Any:
    """Return another value of a range."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            return next(choice for choice in choices if choice != value)
        case FloatDistribution(low=low, high=high) | IntDistribution(low=low, high=high):
            return high if value == low else low
    raise TypeError(f"no such distribution: {distribution}")


def test_every_space_has_a_question() -> None:
    assert {"digits", "svhn_150k"} <= set(list_names())
    assert all(load_space(name).question.endswith("?") for name in list_names())


def test_a_space_gets_its_config_from_a_task(space: SearchSpace[Any]) -> None:
    assert space.config.__module__.startswith("trainables.tasks.")
    lines = (ROOT / "searchspaces" / f"{space.name}.py").read_text().splitlines()
    assert len(lines) <= 90, "a question, ranges and published numbers"
    assert not [line for line in lines if line.startswith("class ")]


def test_numbers_and_names_are_consistent(space: SearchSpace[Any]) -> None:
    assert is_dataclass(space.config)
    assert space.config.__dataclass_params__.frozen
    known = {field.name for field in fields(space.config)}
    assert set(space.compare) <= known
    assert 1 <= space.min_reports <= space.reports
    assert space.trials >= 1
    for values in (*space.initial_configs, *space.arms):
        build_config(space, values)


def test_arms_that_leave_a_hyperparameter_open_are_tuned(space: SearchSpace[Any]) -> None:
    compared = [{k: v for k, v in arm.items() if k in space.compare} for arm in space.arms]
    arms = compared if space.tune_arms else space.arms
    is_open = any(find_parameters(space, encode_values(arm)) for arm in arms)
    assert is_open == (space.tune_arms > 0)


def test_default_and_initial_configs_are_in_the_ranges(space: SearchSpace[Any]) -> None:
    default = asdict(space.config())
    for values in ({}, *space.initial_configs):
        point = {**default, **values}
        outside = {
            name: (point[config_field(name)], str(distribution))
            for name, distribution in _find_ranges(space, point).items()
            if not _contains(distribution, point[config_field(name)])
        }
        assert not outside


def test_the_default_is_feasible(space: SearchSpace[Any]) -> None:
    if space.feasible is None:
        pytest.skip("everything is feasible here")
    assert space.feasible(space.config()) is None


def test_suggested_values_are_configurations(space: SearchSpace[Any]) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    known = {field.name for field in fields(space.config)}
    made = []
    for _ in range(20):
        trial = study.ask()
        config = build_config(space, space.suggest(trial))
        assert {config_field(name) for name in trial.params} <= known
        for name, value in trial.params.items():
            assert getattr(config, config_field(name)) == value
        reason = space.feasible(config) if space.feasible else None
        assert reason is None or reason
        made.append((config, reason))
    different = len({repr(config) for config, _ in made})
    assert different == 20 or (space.arms and different > 1)  # a table may be all there is
    assert any(reason is None for _, reason in made)


def test_every_hyperparameter_changes_the_training(trials: Trials) -> None:
    point = asdict(trials.config())
    base = trials.train(trials.run(share=0.3))
    idle = []
    for name, distribution in _find_ranges(trials.space, point).items():
        field = config_field(name)
        other = {field: _change(distribution, point[field])}
        if trials.train(trials.run(share=0.3), **other) == base:
            idle.append(name)
    assert not idle


def test_the_same_seed_gives_the_same_numbers(
    trials: Trials, finished: tuple[Run, Reports]
) -> None:
    assert trials.train(trials.run()) == finished[1]
    if "seed" in asdict(trials.config()):
        assert trials.train(trials.run(), seed=1) != finished[1]


def test_reports_have_the_metric_and_finite_numbers(
    trials: Trials, finished: tuple[Run, Reports]
) -> None:
    run, reports = finished
    assert len(reports) == run.done == REPORTS
    assert all(is_finite(metrics) and trials.space.metric in metrics for metrics in reports)
    assert len({frozenset(metrics) for metrics in reports}) == 1
    assert not [name for name in reports[0] if "test" in name], "no score on test"
    assert run.facts["parameters"] > 0


@pytest.fixture(scope="module")
def whole(trials: Trials) -> Reports:
    """The three reports of a trial that nothing has disturbed."""
    return trials.train(trials.run(reports=3))


@pytest.mark.parametrize("first", [1, 2])
def test_resuming_changes_nothing(
    trials: Trials, whole: Reports, tmp_path: Path, first: int
) -> None:
    cut = trials.train(trials.run(tmp_path, reports=3), most=first)
    run = trials.run(tmp_path, reports=3)
    assert cut + trials.train(run) == whole
    assert [entry["metrics"] for entry in run.history] == whole


def test_a_preempted_trial_resumes_within_its_report(trials: Trials, tmp_path: Path) -> None:
    calls = [0]

    def preempted_at(when: int) -> bool:
        calls[0] += 1
        return calls[0] == when

    whole = trials.train(trials.run(preempted=lambda: preempted_at(0)))
    batches, calls[0] = calls[0], 0
    assert bool(batches) == (trials.space.name not in WHOLE)
    if not batches:  # the trainable ends it after a report
        return
    cut = trials.run(tmp_path, preempted=lambda: preempted_at(batches - batches // 4))
    with pytest.raises(PreemptedError, match=f"in the middle of report {REPORTS}"):
        trials.train(cut)
    again = trials.run(tmp_path, preempted=lambda: preempted_at(0))
    trials.train(again)
    assert [entry["metrics"] for entry in again.history] == whole
    assert calls[0] == batches + 1, "no batch is trained on twice"


def _predictions(run: Run) -> dict[str, np.ndarray]:
    assert run.folder is not None
    predictions = {}
    for path in (run.folder / "best").glob("*.parquet"):
        table = pq.read_table(path)
        assert table["id"].to_pylist() == list(range(len(table)))
        columns = [table[name].to_numpy() for name in table.column_names[1:]]
        answers = table.column_names[1:] == ["answer"]
        predictions[path.stem] = columns[0] if answers else np.stack(columns, 1)
    return predictions


def test_predictions_belong_to_the_targets(trials: Trials, finished: tuple[Run, Reports]) -> None:
    if trials.space.prepare is None:
        pytest.skip("no data, no targets")
    truth = trials.space.prepare(trials.config(), trials.run())
    predictions = _predictions(finished[0])
    assert predictions.keys() == truth.targets.keys()
    for split, rows in predictions.items():
        assert len(rows) == len(truth.targets[split])
        if truth.classes:
            assert rows.shape[1] == len(truth.classes)
            assert np.allclose(rows.sum(1), 1, atol=1e-5)
            assert set(truth.targets[split]) <= set(range(len(truth.classes)))
    assert truth.fingerprint


def test_a_restored_model_gives_the_stored_predictions(
    trials: Trials, finished: tuple[Run, Reports]
) -> None:
    space = trials.space
    if space.restore is None:
        pytest.skip("nothing can be restored here")
    run = finished[0]
    assert run.folder is not None
    assert space.prepare is not None, "a report asks prepare for the inputs to predict"
    truth = space.prepare(trials.config(), trials.run())
    predict = space.restore(trials.config(), run.folder / "best")
    assert (truth.inputs is None) == bool(predict.environment), "an agent alone has no examples"
    for split, stored in _predictions(run).items():
        assert truth.inputs is not None
        raw = truth.inputs(split)
        predicted = predict(raw)
        same = np.array_equal if stored.ndim == 1 else partial(np.allclose, atol=1e-5)
        assert same(predicted, stored)
        assert (predict.example.shape[1:], predict.example.dtype) == (raw.shape[1:], raw.dtype)
        assert predict.classes == truth.classes
    assert len(predict(predict.example)) == 1


def _open_files() -> set[str]:
    folder = Path("/proc/self/fd")
    links = set()
    for entry in folder.iterdir():
        try:
            links.add(f"{entry.name} {entry.readlink()}")
        except FileNotFoundError:  # the one that listed the folder
            continue
    return links


def _list_left_open(trials: Trials, folder: Path) -> set[object]:
    """Return the files and threads that are open after a loop was closed early."""
    gc.freeze()  # to collect what the loop leaves takes a tenth of the time
    files, threads = _open_files(), set(threading.enumerate())
    run = trials.run(folder)
    loop = trials.space.train(trials.config(), run)
    run.record(next(loop))
    loop.close()
    del loop, run
    gc.collect()
    gc.unfreeze()
    deadline = time.monotonic() + 3
    while not _open_files() <= files and time.monotonic() < deadline:
        time.sleep(0.1)
    return {*(_open_files() - files), *(set(threading.enumerate()) - threads)}


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_closing_a_loop_early_leaves_no_file_or_thread_open(
    trials: Trials, finished: tuple[Run, Reports], tmp_path: Path
) -> None:
    # Libraries that earlier tests used open a socket now and then: a task leaves it every time.
    left: set[object] = set()
    for number in range(3):
        left = _list_left_open(trials, tmp_path / f"{number}")
        if not left:
            break
    assert not left


def test_a_share_of_a_report_takes_fewer_steps(trials: Trials) -> None:
    ticks: dict[float, list[float]] = {1.0: [], 0.2: []}
    for share, reports in ticks.items():
        run = trials.run(reports=1, share=share, on_progress=reports.append)
        assert len(trials.train(run)) == 1
    assert len(ticks[0.2]) <= len(ticks[1.0])
    for reports in filter(None, ticks.values()):
        assert reports == sorted(reports)
        assert reports[-1] == pytest.approx(1)
