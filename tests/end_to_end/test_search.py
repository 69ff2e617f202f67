"""Real searches, from the command line to the MLflow database."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import optuna
import pyarrow.parquet as pq
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from cluster.sampling.study import JOURNAL

Tune = Callable[..., tuple[int, str]]
SpaceFile = Callable[..., Path]


def opened(folder: Path) -> Ledger:
    """Read a search's folder, as the next driver would."""
    ledger = ledgers.reopen_ledger(folder)
    ledger.close()
    return ledger


def study(folder: Path) -> list[optuna.trial.FrozenTrial]:
    backend = optuna.storages.journal.JournalFileBackend(str(folder / JOURNAL))
    storage = optuna.storages.JournalStorage(backend)
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage).trials


def runs(storage: Path, space: str = "toy") -> tuple[MlflowClient, list[Run], dict[int, Run]]:
    """Give the parent runs, and the trials' runs by their number: one for each."""
    client = MlflowClient(f"sqlite:///{storage / 'mlflow.db'}")
    experiment = client.get_experiment_by_name(space)
    assert experiment is not None
    found = client.search_runs([experiment.experiment_id])
    trials = [run for run in found if run.data.tags["kind"] == "trial"]
    numbers = [int(run.data.tags["trial"]) for run in trials]
    assert len(set(numbers)) == len(numbers)
    parents = [run for run in found if run.data.tags["kind"] == "search"]
    assert {run.data.tags["mlflow.parentRunId"] for run in trials} <= {
        run.info.run_id for run in parents
    }
    return client, parents, dict(zip(numbers, trials, strict=True))


def assert_mlflow_has_the_ledger(storage: Path, name: str = "toy") -> None:
    """Every report of every trial is there once, and nothing else."""
    ledger = opened(storage / name)
    client, (parent,), trials = runs(storage, name)
    assert trials.keys() == ledger.trial_logs.keys()
    statuses = {
        "complete": "FINISHED",
        "stopped": "KILLED",
        "diverged": "FAILED",
        "failed": "FAILED",
    }
    for number, run in trials.items():
        trial_log = ledger.trial_logs[number]
        assert trial_log.outcome is not None
        assert (run.info.status, run.data.tags["outcome"]) == (
            statuses[trial_log.outcome],
            trial_log.outcome,
        )
        assert run.data.params == {key: str(value) for key, value in trial_log.config.items()}
        history = client.get_metric_history(run.info.run_id, "loss")
        told = [(m.step, str(m.value), m.timestamp) for m in history]
        assert sorted(told) == [
            (r.report, str(r.metrics["loss"]), int(r.time * 1000)) for r in trial_log.reports
        ]
    assert parent.info.status == "FINISHED"


BEHAVIOURS = ("raise", "nan", "early", "forget", "well", "well")


@pytest.mark.timeout(300)
def test_a_search_with_everything_that_can_befall_a_trial(
    tune: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    path = space_file(
        f"""
def feasible(config: Config) -> str | None:
    return "too wide" if config.width == 3 else None

SPACE = replace(
    SPACE,
    start=tuple(dict(behave=b, width=4 if b == "well" else 2) for b in {BEHAVIOURS}),
    feasible=feasible,
    trials=9,
)"""
    )
    words = ("--space", path, "--scheduler", "none", "--sampler", "random", "--set", "nap=0.05")
    code, said = tune(*words)
    assert code == 0, said
    storage = tmp_path / "runs"
    ledger = opened(storage / "toy")
    trial_logs = ledger.trial_logs
    outcomes = [trial_logs[n].outcome for n in range(7)]
    assert outcomes == ["complete", "failed", "diverged", *["complete"] * 4]
    assert [trial_logs[n].done for n in range(7)] == [4, 1, 2, 1, 4, 4, 4]
    assert len(trial_logs) == 9
    assert ledger.finished

    assert [f.failure_class for f in trial_logs[1].failures] == ["failed"] * 3
    assert trial_logs[1].failures[-1].message == "RuntimeError: the task broke on purpose"
    assert [f.failure_class for f in trial_logs[4].failures] == ["out_of_memory"]
    begun, *_, ended = (r.time for r in trial_logs[4].reports[1:])
    others = [r.time for n, s in trial_logs.items() if n != 4 for r in s.reports]
    assert not [time for time in others if begun < time < ended]

    trials = study(storage / "toy")
    infeasible = [t.number for t in trials if "infeasible" in t.user_attrs]
    assert {t.number for t in trials} - set(infeasible) == set(trial_logs)
    states = Counter(t.state.name for t in trials if t.number in trial_logs)
    assert states == {"COMPLETE": 7, "FAIL": 1, "PRUNED": 1}
    assert trials[0].value == min(r.metrics["loss"] for r in trial_logs[0].reports)
    assert set(trials[2].intermediate_values) == {1, 2}
    assert all(trials[n].constraints == {"feasible": 1.0} for n in infeasible)

    assert_mlflow_has_the_ledger(storage)
    client, (parent,), children = runs(storage)
    assert "the task broke on purpose" in children[1].data.tags["error"]
    assert parent.data.metrics["infeasible"] == len(infeasible)
    counts = {o: parent.data.metrics[o] for o in ("complete", "diverged", "failed", "retried")}
    assert counts == {"complete": 7, "diverged": 1, "failed": 1, "retried": 2}
    assert children[0].data.metrics["parameters"] == 3
    assert children[0].data.metrics["score"] == trials[0].value
    for tag in ("command", "versions", "hardware", "source", "sampler"):
        assert parent.data.tags[tag]
    prediction = client.download_artifacts(
        children[0].info.run_id, "predictions/validation.parquet"
    )
    assert pq.read_table(prediction).column_names == ["id", "p0", "p1"]
    files = {f.path for f in client.list_artifacts(children[0].info.run_id, "checkpoint")}
    assert any(name.endswith(".safetensors") for name in files)
    assert not list((storage / "toy").glob("trials/*/*/last"))

    for word in ("best trials by loss", "mlflow ui --backend-store-uri", "python -m reports toy"):
        assert word in said
    assert "the task broke on purpose" in said
    assert "Traceback" not in said

    before = {p: p.stat().st_mtime_ns for p in (storage / "toy").rglob("*.jsonl")}
    code, said = tune(*words[:2], "--resume")
    assert code == 0, said
    assert {p: p.stat().st_mtime_ns for p in (storage / "toy").rglob("*.jsonl")} == before
    assert_mlflow_has_the_ledger(storage)


@pytest.mark.timeout(300)
def test_early_stopping_arms_extension_and_a_config_without_a_seed(
    tune: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    """ASHA on a space whose Config has no seed; more trials later; and a second search beside."""
    path = space_file(
        """
@dataclass(frozen=True)
class Bare:
    learning_rate: float = 0.1

def train_bare(config: Bare, run: Run) -> Loop:
    for report in run.resume(model=torch.nn.Linear(1, 1)):
        yield {"loss": config.learning_rate / (report + 1)}

SPACE = replace(
    SPACE, config=Bare, train=train_bare, trials=5, reports=9,
    suggest=lambda trial: {"learning_rate": trial.suggest_float("learning_rate", 0.01, 0.4)},
    start=({"learning_rate": 0.2}, {"learning_rate": 0.05}, {"learning_rate": 0.3}),
)"""
    )
    storage = tmp_path / "runs"
    code, said = tune("--space", path, "--scheduler", "asha", "--concurrency", 1)
    assert code == 0, said
    outcomes = [opened(storage / "toy").trial_logs[n].outcome for n in range(4)]
    assert outcomes == ["complete", "stopped", "complete", "stopped"]
    trials = study(storage / "toy")
    assert [t.state.name for t in trials[:4]] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert trials[1].intermediate_values == {1: 0.2}
    assert_mlflow_has_the_ledger(storage)
    first = {n: s.config for n, s in opened(storage / "toy").trial_logs.items()}

    code, said = tune("--space", path, "--resume", "--trials", 7)
    assert code == 0, said
    trial_logs = opened(storage / "toy").trial_logs
    assert len(trial_logs) == 7
    assert {n: trial_logs[n].config for n in first} == first
    assert len({json.dumps(s.config) for s in trial_logs.values()}) == 7
    assert opened(storage / "toy").settings["scheduler"] == "asha"
    assert_mlflow_has_the_ledger(storage)
    _, (parent,), _ = runs(storage)
    assert parent.data.metrics["complete"] + parent.data.metrics["stopped"] == 7


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [("tpe", "asha"), ("qmc", "median"), ("gp", "asha"), ("cmaes", "median"), ("grid", "asha")],
)
def test_every_sampler_and_scheduler_reaches_the_number_of_trials(
    tune: Tune, space_file: SpaceFile, tmp_path: Path, sampler: str, scheduler: str
) -> None:
    fixed = ("--set", "learning_rate=0.1") if sampler == "grid" else ()
    words = ("--space", space_file("SPACE = replace(SPACE, trials=8)"), *fixed)
    code, said = tune(*words, "--sampler", sampler, "--scheduler", scheduler)
    assert code == 0, said
    trial_logs = opened(tmp_path / "runs" / "toy").trial_logs
    assert len(trial_logs) == 8
    assert {s.outcome for s in trial_logs.values()} <= {"complete", "stopped"}
    assert len({json.dumps(s.config) for s in trial_logs.values()}) == 8
    assert_mlflow_has_the_ledger(tmp_path / "runs")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_arms_times_seeds(tune: Tune, space_file: SpaceFile, tmp_path: Path) -> None:
    path = space_file("SPACE = replace(SPACE, arms=({'momentum': False}, {'momentum': True}))")
    code, said = tune("--space", path, "--seeds", 2)
    assert code == 0, said
    trial_logs = opened(tmp_path / "runs" / "toy").trial_logs
    ran = Counter((s.config["momentum"], s.config["seed"]) for s in trial_logs.values())
    assert ran == {(arm, seed): 1 for arm in (False, True) for seed in (0, 1)}
    assert {s.outcome for s in trial_logs.values()} == {"complete"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_report_without_the_metric_is_a_failed_trial_that_says_so(
    tune: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    path = space_file("SPACE = replace(SPACE, start=({'behave': 'mute'},), trials=3)")
    code, said = tune("--space", path)
    assert code == 0, said
    trial_log = opened(tmp_path / "runs" / "toy").trial_logs[1]
    assert trial_log.outcome == "failed"
    assert "the report lacks the metric 'loss'; it has ['pid']" in trial_log.failures[-1].message
