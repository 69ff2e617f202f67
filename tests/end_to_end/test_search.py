"""Real searches without Ray, from the command line to the MLflow database."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cluster.tracking.names import to_own_name
from tests.support.searches import (
    assert_mlflow_equals_ledger,
    read_ledger,
    read_runs,
    read_study,
)

Tune = Callable[..., tuple[int, str]]
SpaceFile = Callable[..., Path]


BEHAVIOURS = ("raise", "nan", "early", "out_of_memory", "well", "well")


def test_a_search_whose_trials_fail_diverge_and_end_early(
    tune_inline: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    path = space_file(
        f"""
def feasible(config: Config) -> str | None:
    return "too wide" if config.width == 3 else None

SPACE = replace(
    SPACE,
    initial_configs=tuple(dict(behave=b, width=4 if b == "well" else 2) for b in {BEHAVIOURS}),
    feasible=feasible,
    trials=9,
)"""
    )
    words = ("--space", path, "--scheduler", "none", "--sampler", "random", "--concurrency", 2)
    code, output = tune_inline(*words)
    assert code == 0, output
    storage = tmp_path / "runs"
    ledger = read_ledger(storage / "toy")
    trial_logs = ledger.trial_logs
    outcomes = [trial_logs[n].outcome for n in range(7)]
    assert outcomes == ["complete", "failed", "diverged", *["complete"] * 4]
    assert [trial_logs[n].done for n in range(7)] == [4, 1, 2, 1, 4, 4, 4]
    assert len(trial_logs) == 9
    assert ledger.finished

    assert [f.failure_class for f in trial_logs[1].failures] == ["failed"] * 3
    assert trial_logs[1].failures[-1].message == "RuntimeError: the task broke on purpose"
    assert [f.failure_class for f in trial_logs[4].failures] == ["out_of_memory"]
    first, *_, last = (r.time for r in trial_logs[4].reports[1:])
    others = [r.time for n, s in trial_logs.items() if n != 4 for r in s.reports]
    assert not [time for time in others if first < time < last]

    trials = read_study(storage / "toy")
    infeasible = [t.number for t in trials if "infeasible" in t.user_attrs]
    assert {t.number for t in trials} - set(infeasible) == set(trial_logs)
    states = Counter(t.state.name for t in trials if t.number in trial_logs)
    assert states == {"COMPLETE": 7, "FAIL": 1, "PRUNED": 1}
    assert trials[0].value == min(r.metrics["loss"] for r in trial_logs[0].reports)
    assert set(trials[2].intermediate_values) == {1, 2}
    assert all(trials[n].constraints == {"feasible": 1.0} for n in infeasible)

    assert_mlflow_equals_ledger(storage)
    client, (parent,), children = read_runs(storage)
    assert "the task broke on purpose" in children[1].data.tags["error"]
    counts = {"infeasible": len(infeasible), "complete": 7, "diverged": 1, "failed": 1}
    for name, count in {**counts, "retried": 2}.items():
        assert parent.data.metrics[to_own_name(name)] == count
    assert children[0].data.metrics[to_own_name("parameters")] == 3
    assert children[0].data.metrics[to_own_name("score")] == trials[0].value
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
        assert word in output
    assert "the task broke on purpose" in output
    assert "Traceback" not in output

    before = {p: p.stat().st_mtime_ns for p in (storage / "toy").rglob("*.jsonl")}
    code, output = tune_inline(*words[:2], "--resume")
    assert code == 0, output
    assert {p: p.stat().st_mtime_ns for p in (storage / "toy").rglob("*.jsonl")} == before
    assert_mlflow_equals_ledger(storage)


def test_early_stopping_and_extension_of_a_config_without_a_seed(
    tune_inline: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    """ASHA on a space whose Config has no seed, extended later by more trials."""
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
    initial_configs=({"learning_rate": 0.2}, {"learning_rate": 0.05}, {"learning_rate": 0.3}),
)"""
    )
    storage = tmp_path / "runs"
    code, output = tune_inline("--space", path, "--scheduler", "asha")
    assert code == 0, output
    outcomes = [read_ledger(storage / "toy").trial_logs[n].outcome for n in range(4)]
    assert outcomes == ["complete", "stopped", "complete", "stopped"]
    trials = read_study(storage / "toy")
    assert [t.state.name for t in trials[:4]] == ["COMPLETE", "PRUNED", "COMPLETE", "PRUNED"]
    assert trials[1].intermediate_values == {1: 0.2}
    assert_mlflow_equals_ledger(storage)
    first = {n: s.config for n, s in read_ledger(storage / "toy").trial_logs.items()}

    code, output = tune_inline("--space", path, "--resume", "--trials", 7)
    assert code == 0, output
    trial_logs = read_ledger(storage / "toy").trial_logs
    assert len(trial_logs) == 7
    assert {n: trial_logs[n].config for n in first} == first
    assert len({json.dumps(s.config) for s in trial_logs.values()}) == 7
    assert read_ledger(storage / "toy").settings.scheduler == "asha"
    assert_mlflow_equals_ledger(storage)
    _, (parent,), _ = read_runs(storage)
    ended = [parent.data.metrics[to_own_name(name)] for name in ("complete", "stopped")]
    assert sum(ended) == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sampler", "scheduler"),
    [("tpe", "asha"), ("qmc", "median"), ("gp", "asha"), ("cmaes", "median"), ("grid", "asha")],
)
def test_every_sampler_and_scheduler_reaches_the_number_of_trials(
    tune_inline: Tune, space_file: SpaceFile, tmp_path: Path, sampler: str, scheduler: str
) -> None:
    fixed = ("--set", "learning_rate=0.1") if sampler == "grid" else ()
    words = ("--space", space_file("SPACE = replace(SPACE, trials=8)"), *fixed)
    code, output = tune_inline(*words, "--sampler", sampler, "--scheduler", scheduler)
    assert code == 0, output
    trial_logs = read_ledger(tmp_path / "runs" / "toy").trial_logs
    assert len(trial_logs) == 8
    assert {s.outcome for s in trial_logs.values()} <= {"complete", "stopped"}
    assert len({json.dumps(s.config) for s in trial_logs.values()}) == 8
    assert_mlflow_equals_ledger(tmp_path / "runs")


@pytest.mark.slow
def test_every_arm_runs_on_every_seed(
    tune_inline: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    path = space_file("SPACE = replace(SPACE, arms=({'momentum': False}, {'momentum': True}))")
    code, output = tune_inline("--space", path, "--seeds", 2)
    assert code == 0, output
    trial_logs = read_ledger(tmp_path / "runs" / "toy").trial_logs
    ran = Counter((s.config["momentum"], s.config["seed"]) for s in trial_logs.values())
    assert ran == {(arm, seed): 1 for arm in (False, True) for seed in (0, 1)}
    assert {s.outcome for s in trial_logs.values()} == {"complete"}


@pytest.mark.slow
def test_a_report_without_the_metric_fails_the_trial_and_names_the_metric(
    tune_inline: Tune, space_file: SpaceFile, tmp_path: Path
) -> None:
    path = space_file(
        "SPACE = replace(SPACE, initial_configs=({'behave': 'no_metric'},), trials=3)"
    )
    code, output = tune_inline("--space", path, "--scheduler", "none")
    assert code == 0, output
    trial_log = read_ledger(tmp_path / "runs" / "toy").trial_logs[1]
    assert trial_log.outcome == "failed"
    (failure,) = trial_log.failures  # another attempt would fail again
    assert "lacks the searched metric 'loss'; it has 'pid'" in failure.message
