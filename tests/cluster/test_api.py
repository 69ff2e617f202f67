from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cluster.api import tune
from cluster.cli import build_parser
from cluster.ledger.ledger import reopen_ledger
from cluster.tracking.client import open_client
from searchspaces.loading import load_space
from tests.support.paths import ROOT, TRIVIAL
from trainables.errors import UserError
from trainables.run import Loop, Run

RANGES = {
    "x": FloatDistribution(-10, 10),
    "layers": IntDistribution(1, 4),
    "kind": CategoricalDistribution(["a", None]),
}
NOT_IN_PYTHON = {"space", "list", "dry_run", "cluster", "debug", "help"}


@pytest.fixture
def database(empty_database: Path, tmp_path: Path) -> None:
    """Put an MLflow database into the storage: its tables take seconds, a copy does not."""
    shutil.copy(empty_database, tmp_path / "mlflow.db")


def train(config: Any, run: Run) -> Loop:
    """Where is the minimum?"""
    for step in range(run.reports):
        yield {"loss": (config.x - 2) ** 2 + config.layers + 1 / (step + 1)}


def options(storage: Path, **changes: Any) -> dict[str, Any]:
    known = {"suggest": RANGES, "metric": "loss", "mode": "min", "trials": 5, "reports": 2}
    return {**known, "executor": "inline", "storage": storage, "quiet": True, **changes}


def test_every_option_of_the_command_line_is_an_argument() -> None:
    named = set()
    for action in build_parser()._actions:
        longest = max(action.option_strings, key=len)
        named.add(longest.removeprefix("--").replace("-", "_"))
    own = {"space", "suggest", "metric", "mode", "defaults", "name", "quiet"}
    assert set(inspect.signature(tune).parameters) - own == named - NOT_IN_PYTHON


@pytest.mark.usefixtures("database")
def test_a_function_with_distributions_is_searched(tmp_path: Path) -> None:
    result = tune(train, **options(tmp_path))
    assert result.exit_code == 0
    assert len(result.trials) == 5
    finite = result.trials[result.trials.outcome == "complete"]
    assert result.best.score == finite.score.min()
    assert result.best.config.x == result.trials.x[result.best.trial]
    first = result.trials.iloc[0]
    assert (first.x, first.layers, first.kind) == (0.0, 3, "a")


def test_an_own_default_runs_first(tmp_path: Path) -> None:
    result = tune(train, **options(tmp_path, trials=1, defaults={"x": 7.5}))
    assert result.best.config.x == 7.5


def test_a_suggest_function_and_fixed_values_are_used(tmp_path: Path) -> None:
    def suggest(trial: Any) -> dict[str, Any]:
        layers = 2 ** trial.suggest_int("power", 0, 3)
        return {"x": trial.suggest_float("x", -1, 1), "layers": layers}

    result = tune(train, **options(tmp_path, suggest=suggest, set={"x": 0.25}))
    assert set(result.trials.x) == {0.25}
    assert set(result.trials.layers) <= {1, 2, 4, 8}


@pytest.mark.usefixtures("database")
def test_the_numbers_are_those_of_the_command_line(tmp_path: Path, tune_inline: Any) -> None:
    space = str(TRIVIAL)
    result = tune(space, trials=4, seed=3, executor="inline", storage=tmp_path, quiet=True)
    code, _ = tune_inline("--space", space, "--trials", 4, "--seed", 3)
    assert code == 0
    ledger = reopen_ledger(tmp_path / "runs" / "trivial")
    scores = [ledger.best_report(ledger.trial_logs[trial]) for trial in range(4)]
    ledger.close()
    assert [score and score[0] for score in scores] == list(result.trials.score)


@pytest.mark.usefixtures("database")
def test_a_space_object_is_searched_under_its_name(tmp_path: Path) -> None:
    space = replace(load_space("digits"), name="", file="", trials=1, reports=1)
    first = tune(space, executor="inline", storage=tmp_path, quiet=True)
    assert first.folder == tmp_path / "digits"
    assert first.space.question == space.question
    again = tune(space, name="mine", executor="inline", storage=tmp_path, quiet=True)
    assert again.folder == tmp_path / "mine"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("name", ["digits", "mine"])
def test_a_space_object_with_a_name_trains_its_own_function(tmp_path: Path, name: str) -> None:
    def train(config: Any, run: Run) -> Loop:
        yield {"validation_accuracy": 0.25}

    space = replace(load_space("digits"), name=name, train=train, prepare=None, restore=None)
    result = tune(space, trials=1, reports=1, executor="inline", storage=tmp_path, quiet=True)
    assert (result.folder.name, result.best.score) == (name, 0.25)


@pytest.mark.usefixtures("database")
def test_a_space_object_asks_what_its_function_says(tmp_path: Path) -> None:
    def train(config: Any, run: Run) -> Loop:
        """Which digit?

        And more.
        """
        yield {"validation_accuracy": config.width}

    space = replace(load_space("digits"), name="", file="", question="", train=train, prepare=None)
    result = tune(space, trials=1, reports=1, executor="inline", storage=tmp_path, quiet=True)
    assert result.space.question == "Which digit?"


@pytest.mark.parametrize(
    ("space", "changes", "message"),
    [
        (train, {"metric": None}, "metric is missing"),
        (train, {"suggest": {"x": (0, 1)}}, r"x=\(0, 1\) is no distribution"),
        (train, {"suggest": lambda trial: 3}, "suggest returns 3"),
        (train, {"suggest": lambda trial: {"a b": 1}}, "'a b'"),
        (train, {"suggest": lambda trial: 1 / 0}, "ZeroDivisionError"),
        (train, {"defaults": {"y": 1}}, "unknown hyperparameter 'y'"),
        (train, {"set": {"y": 1}}, "unknown hyperparameter 'y'"),
        (train, {"set": {"x": "high"}}, "x"),
        (train, {"trials": 0}, "trials: '0' is not a whole number"),
        (train, {"sampler": "best"}, "sampler: invalid choice: 'best'"),
        (train, {"executor": "slurm"}, "executor: invalid choice"),
        (3, {}, "space=3"),
        ("digits", {}, "suggest: the space has its own"),
        ("nonsense.py", {"suggest": None, "metric": None, "mode": None}, "does not exist"),
    ],
)
def test_what_is_wrong_is_an_exception(
    tmp_path: Path, space: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        tune(space, **options(tmp_path, **changes))
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("database")
def test_a_search_is_continued_with_the_same_functions(tmp_path: Path) -> None:
    result = tune(train, **options(tmp_path, trials=3))
    with pytest.raises(UserError, match="there is already a search"):
        tune(train, **options(tmp_path, trials=3))
    more = result.resume(trials=2)
    assert more.folder == result.folder
    assert len(more.trials) == 5
    whole = tune(train, **options(tmp_path / "whole", trials=5))
    assert list(more.trials.score) == list(whole.trials.score)


@pytest.mark.usefixtures("database")
def test_a_search_with_other_code_is_not_continued(tmp_path: Path) -> None:
    tune(train, **options(tmp_path, trials=1))

    def other(config: Any, run: Run) -> Loop:
        yield {"loss": config.x}

    with pytest.raises(UserError, match="changed"):
        tune(other, **options(tmp_path, name="train", resume=True))


@pytest.mark.usefixtures("database")
def test_narrower_ranges_need_changed_code_and_wider_ones_go_on(tmp_path: Path) -> None:
    tune(train, **options(tmp_path, trials=1))
    wide = {**RANGES, "x": FloatDistribution(-20, 10)}
    assert len(tune(train, **options(tmp_path, suggest=wide, trials=2, resume=True)).trials) == 2
    narrow = {**wide, "x": FloatDistribution(-20, 5)}
    more = options(tmp_path, suggest=narrow, trials=3, resume=True)
    with pytest.raises(UserError, match=r"ranges have changed[^$]*x: -20 to 10 there, -20 to 5"):
        tune(train, **more)
    assert len(tune(train, **more, changed_code=True).trials) == 3


@pytest.mark.parametrize("how", ["deleted", "moved", "replaced"])
def test_a_storage_may_be_moved_between_two_searches_of_one_process(
    empty_database: Path, tmp_path: Path, how: str
) -> None:
    storage = tmp_path / "runs"
    storage.mkdir()
    shutil.copy(empty_database, storage / "mlflow.db")
    tune(train, **options(storage, trials=1))
    if how == "deleted":
        shutil.rmtree(storage)
    else:
        storage.rename(tmp_path / "old")
    if how == "replaced":
        storage.mkdir()
        shutil.copy(empty_database, storage / "mlflow.db")
    result = tune(train, **options(storage, trials=2))
    assert (result.exit_code, len(result.trials)) == (0, 2)
    client = open_client(f"sqlite:///{storage / 'mlflow.db'}", read_only=True)
    found = client.search_runs([client.get_experiment_by_name("train").experiment_id])
    assert len(found) == 3


SCRIPT = """
from dataclasses import dataclass
from searchspaces.space import SearchSpace
from trainables.tune import tune

@dataclass(frozen=True)
class Config:
    x: float = 0.5
    seed: int = 0

def train(config, run):
    for report in range(run.reports):
        yield {"score": config.x + report}

def suggest(trial):
    return {"x": trial.suggest_float("x", 0, 1)}

SPACE = SearchSpace(Config, train, suggest, metric="score", mode="max", reports=2)

if __name__ == "__main__":
    result = tune(SPACE, name="mine", trials=3, storage="runs", quiet=True)
    print(len(result.trials), result.best.score == result.trials.score.max())
"""


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_workers_of_ray_run_a_space_of_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.stdout.splitlines()[-1:] == ["3 True"], done.stderr
    assert (tmp_path / "runs" / "mine" / "code" / "script.py").read_text() == SCRIPT


@pytest.mark.parametrize(
    ("argument", "value", "shown"),
    [
        ("seed", -1, "'-1'"),
        ("time_budget", "1-h", "'1-h'"),
        ("trials", [3], "[3]"),
        ("name", 5, "name=5"),
        ("set", ["x=1"], "set=['x=1']"),
        ("defaults", 3, "defaults=3"),
        ("set", {1: 2}, "set={1: 2}"),
        ("defaults", {None: 2}, "the name None is not a text"),
        ("suggest", 3, "suggest=3"),
        ("metric", 3, "metric=3"),
        ("mode", 3, "mode=3"),
    ],
)
def test_a_wrong_argument_is_shown_as_it_was_given(
    tmp_path: Path, argument: str, value: Any, shown: str
) -> None:
    with pytest.raises(UserError) as error:
        tune(train, **options(tmp_path, **{argument: value}))
    assert argument in str(error.value)
    assert shown in str(error.value)


@pytest.mark.usefixtures("database")
def test_a_search_runs_in_any_thread(tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(lambda: tune(train, **options(tmp_path))).result()
        assert len(result.trials) == 5
        again = options(tmp_path, report_timeout=5, fresh=True)
        limited = pool.submit(lambda: tune(train, **again))
        with pytest.raises(UserError, match=r"--report-timeout .* main thread"):
            limited.result()


@pytest.mark.usefixtures("database")
def test_a_task_may_change_and_delete_its_working_directory(tmp_path: Path) -> None:
    before = Path.cwd()

    def wander(config: Any, run: Run) -> Loop:
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        Path(folder).rmdir()
        for _ in range(run.reports):
            yield {"loss": abs(config.x)}

    result = tune(wander, **options(tmp_path, concurrency=2))
    assert (len(result.trials), result.exit_code, Path.cwd()) == (5, 0, before)


@pytest.mark.usefixtures("database")
def test_a_space_of_a_file_trains_what_python_code_has_put_into_it(tmp_path: Path) -> None:
    def other(config: Any, run: Run) -> Loop:
        yield {"loss": 0.25}

    path = Path(__file__).parents[1] / "benchmarks" / "trivial.py"
    space = replace(load_space(str(path)), train=other, metric="loss", mode="min")
    result = tune(space, trials=1, reports=1, executor="inline", storage=tmp_path, quiet=True)
    assert result.best.score == 0.25
    named = tune(
        str(path),
        name="other",
        trials=1,
        reports=1,
        executor="inline",
        storage=tmp_path,
        quiet=True,
    )
    assert named.best.trial == 0


@pytest.mark.usefixtures("database")
def test_a_search_is_continued_from_another_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path.parent)
    result = tune(train, **options(Path(tmp_path.name), trials=1))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = result.resume(trials=1)
    assert (again.folder, len(again.trials)) == (result.folder, 2)


@pytest.mark.usefixtures("database")
def test_the_text_of_a_result_has_no_password(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path / 'mlflow.db'}?password=S3CR3T"
    assert "S3CR3T" not in repr(tune(train, **options(tmp_path, trials=1, tracking_uri=address)))
