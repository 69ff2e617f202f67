"""Ray and the inline executor give the same search, and each continues the other's."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.cli import main
from cluster.ledger.files import OUTPUT
from tests.support.paths import ROOT
from tests.support.searches import (
    assert_mlflow_equals_ledger,
    describe_trials,
    read_ledger,
    read_study,
)
from trainables import checkpoint

BEHAVIOURS = ("raise", "nan", "early")


@pytest.mark.timeout(300)
def test_both_executors_give_the_same_search_and_continue_each_other(
    tune: Callable[..., tuple[int, str]],
    space_file: Callable[..., Path],
    empty_database: Path,
    tmp_path: Path,
) -> None:
    """One trial after the other, so that the order of reports and decisions is the same."""
    better = {"behave": "out_of_memory", "learning_rate": 0.2}  # of equal trials most are stopped
    configs = [*({"behave": name} for name in BEHAVIOURS), better, {"learning_rate": 0.001}]
    changes = f"initial_configs={tuple(configs)!r}, trials=4, reports=9, min_reports=3"
    loud = "def loud(config, run):\n    print('starts')\n    yield from train(config, run)\n"
    file = space_file(f"{loud}SPACE = replace(SPACE, train=loud, {changes})")
    words = ["--space", str(file), "--scheduler", "asha", "--concurrency", "1", "--resume"]
    for name in ("inline", "mixed"):
        (tmp_path / name).mkdir()
        shutil.copy(empty_database, tmp_path / name / "mlflow.db")

    def run_inline(name: str, trials: int) -> None:
        more = ["--storage", str(tmp_path / name), "--trials", str(trials)]
        assert main([*words, *more, "--executor", "inline"]) == 0

    run_inline("inline", 10)
    run_inline("mixed", 2)
    code, output = tune(*words, "--storage", tmp_path / "mixed", "--trials", 8)
    assert code == 0, output
    assert "the task broke on purpose" in output
    assert "Traceback" not in output
    run_inline("mixed", 10)
    assert "starts" not in output.replace("  | starts", "")  # but at the end, of a failed one
    alone, mixed = (read_ledger(tmp_path / name / "toy") for name in ("inline", "mixed"))
    assert describe_trials(mixed) == describe_trials(alone)
    for ledger in (alone, mixed):
        for trial in ledger.trial_logs:
            assert (ledger.latest_attempt(trial) / OUTPUT).read_text() == "starts\n"
    outcomes = [log.outcome for log in alone.trial_logs.values()]
    assert outcomes[:6] == ["complete", "failed", "diverged", "complete", "complete", "stopped"]
    assert [f.failure_class for f in mixed.trial_logs[4].failures] == ["out_of_memory"]
    studies = [
        [(t.state, t.params, t.value, t.intermediate_values) for t in read_study(ledger.folder)]
        for ledger in (alone, mixed)
    ]
    assert studies[0] == studies[1]
    assert_mlflow_equals_ledger(tmp_path / "mixed")


def test_a_paused_trial_continues_with_the_numbers_of_one_that_was_not(
    space_file: Callable[..., Path], tmp_path: Path
) -> None:
    changes = "trials=12, reports=9, min_reports=1"
    words = ["--space", str(space_file(f"SPACE = replace(SPACE, {changes})"))]
    words += ["--executor", "inline", "--sampler", "random", "--storage"]
    for scheduler in ("promotion", "none"):
        assert main([*words, str(tmp_path / scheduler), "--scheduler", scheduler]) == 0
    paused, whole = (read_ledger(tmp_path / name / "toy") for name in ("promotion", "none"))
    logs = paused.trial_logs
    assert any(log.attempts > 1 and log.outcome == "complete" for log in logs.values())
    for trial, log in logs.items():
        expected = [report.metrics for report in whole.trial_logs[trial].reports]
        assert [report.metrics for report in log.reports] == expected[: log.done]
    assert_mlflow_equals_ledger(tmp_path / "promotion")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_both_executors_pause_and_continue_the_same_trials(
    tune: Callable[..., tuple[int, str]], space_file: Callable[..., Path], tmp_path: Path
) -> None:
    changes = "trials=9, reports=9, min_reports=1"
    words = ["--space", str(space_file(f"SPACE = replace(SPACE, {changes})")), "--concurrency"]
    words += ["1", "--scheduler", "promotion", "--storage"]
    assert main([*words, str(tmp_path / "inline"), "--executor", "inline"]) == 0
    code, output = tune(*words, tmp_path / "ray")
    assert code == 0, output
    inline, ray = (read_ledger(tmp_path / name / "toy") for name in ("inline", "ray"))
    assert describe_trials(ray) == describe_trials(inline)
    assert any(log.attempts > 1 for log in ray.trial_logs.values())
    assert_mlflow_equals_ledger(tmp_path / "ray")


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_plain_function_gives_the_ledger_of_a_generator_in_both_executors(
    tune: Callable[..., tuple[int, str]],
    space_file: Callable[..., Path],
    empty_database: Path,
    tmp_path: Path,
) -> None:
    configs: list[dict[str, Any]] = [{"behave": name} for name in BEHAVIOURS]
    configs.append({"learning_rate": 0.001})
    initial = f"initial_configs={tuple(configs)!r}, trials=6, reports=9, min_reports=3"
    function = """
def call(config, run):
    for metrics in train(config, run):
        run.report(metrics)
"""
    files = {
        "generator": space_file(f"SPACE = replace(SPACE, {initial})"),
        "function": space_file(f"{function}SPACE = replace(SPACE, train=call, {initial})", "toys"),
    }
    for name in ("generator", "function", "ray"):
        (tmp_path / name).mkdir()
        shutil.copy(empty_database, tmp_path / name / "mlflow.db")
    words = ("--scheduler", "asha", "--concurrency", "1", "--storage")
    for name, file in files.items():
        options = ["--space", str(file), *words, str(tmp_path / name), "--executor", "inline"]
        assert main(options) == 0
    code, output = tune("--space", files["function"], *words, tmp_path / "ray")
    assert code == 0, output
    expected = describe_trials(read_ledger(tmp_path / "generator" / "toy"))
    assert {trial["outcome"][0] for trial in expected} == {
        *("complete", "failed", "diverged", "stopped")
    }
    for name in ("function", "ray"):
        assert describe_trials(read_ledger(tmp_path / name / "toys")) == expected


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_trainer_of_a_library_gives_the_same_search_in_both_executors(
    tune: Callable[..., tuple[int, str]], empty_database: Path, tmp_path: Path
) -> None:
    pytest.importorskip("skops", reason="needs skops: pip install '.[sklearn]'")
    words = ["--space", str(ROOT / "searchspaces/examples/sklearn_digits.py"), "--trials", "3"]
    words += ["--reports", "3", "--concurrency", "1", "--storage"]
    for name in ("inline", "ray"):
        (tmp_path / name).mkdir()
        shutil.copy(empty_database, tmp_path / name / "mlflow.db")
    assert main([*words, str(tmp_path / "inline"), "--executor", "inline"]) == 0
    code, output = tune(*words, tmp_path / "ray")
    assert code == 0, output
    inline, ray = (read_ledger(tmp_path / name / "sklearn_digits") for name in ("inline", "ray"))
    assert describe_trials(ray) == describe_trials(inline)
    assert {log.outcome for log in ray.trial_logs.values()} == {"complete", "stopped"}
    best = ray.latest_attempt(ray.top_trials[0].trial) / "best"
    assert (best / "test.parquet").exists()
    assert checkpoint.find_files(best, "model").is_file()
