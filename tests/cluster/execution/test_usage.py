"""What a trial uses of its machine, in its log and among MLflow's system metrics."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cluster.execution import usage
from cluster.execution.usage import UsageMonitor, measure_gpus, measure_processes
from tests.support.searches import read_ledger, read_runs

BUSY = """
import time


def train(config, run):
    for report in range(3):
        time.sleep(0.1 * (report > 0))  # longer than the time between two samples
        yield {"loss": 1.0}


SPACE = replace(SPACE, train=train, reports=3)
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample every few milliseconds."""
    monkeypatch.setattr(usage, "FIRST", 0.02)
    monkeypatch.setattr(usage, "PERIOD", 0.02)


def wait_for(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 30
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return found


def is_sampling() -> bool:
    return any(thread.name == "usage-monitor" for thread in threading.enumerate())


@pytest.mark.usefixtures("quick")
def test_samples_are_averaged_and_end_with_the_monitor() -> None:
    monitor = UsageMonitor()
    used = wait_for(monitor.take)
    assert used.keys() == {
        "process_cpu_utilization_percentage",
        "process_memory_usage_megabytes",
        "cpu_utilization_percentage",
        "system_memory_usage_megabytes",
        "system_memory_usage_percentage",
    }
    assert 0 < used["process_memory_usage_megabytes"] < used["system_memory_usage_megabytes"]
    assert 0 < used["system_memory_usage_percentage"] < 100
    monitor.close()
    wait_for(lambda: not is_sampling())
    monitor._samples = [{"a": 1.0, "b": 4.0}, {"a": 2.0}]
    assert monitor.take() == {"a": 1.5, "b": 4.0}
    assert monitor.take() == {}


def test_processes_that_the_trial_has_started_count_also_after_their_end() -> None:
    seconds, memory = measure_processes()
    work = "import time\nwhile time.process_time() < 0.3: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        assert child.stdout is not None and child.stdin is not None
        child.stdout.readline()
        busy, more = measure_processes()
        child.stdin.write(b"\n")
    assert busy >= seconds + 0.29
    assert more > memory
    assert measure_processes()[0] >= busy


def test_a_gpu_that_does_not_tell_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(gpu: int) -> int:
        raise RuntimeError("Not Supported")

    monkeypatch.setattr("torch.cuda.utilization", refuse)
    monkeypatch.setattr("torch.cuda.device_memory_used", lambda gpu: (gpu + 1) * 2_000_000)
    monkeypatch.setattr("torch.cuda.power_draw", lambda gpu: 71_500)
    assert measure_gpus(0) == {}
    assert measure_gpus(2) == {
        "gpu_0_memory_usage_megabytes": 2.0,
        "gpu_0_power_usage_watts": 71.5,
        "gpu_1_memory_usage_megabytes": 4.0,
        "gpu_1_power_usage_watts": 71.5,
    }


@pytest.mark.usefixtures("quick")
def test_a_search_has_system_metrics_in_its_log_and_in_mlflow(
    space_file: Callable[..., Path], tune_inline: Callable[..., tuple[int, str]], runs: Path
) -> None:
    code, output = tune_inline("--space", space_file(BUSY), "--trials", 1)
    assert code == 0, output
    wait_for(lambda: not is_sampling())
    log = read_ledger(runs / "toy").trial_logs[0]
    name = "process_memory_usage_megabytes"
    used = {report.report: report.usage[name] for report in log.reports if report.usage}
    assert used.keys() >= {2, 3}
    client, _, trials = read_runs(runs)
    history = client.get_metric_history(trials[0].info.run_id, f"system/{name}")
    assert {metric.step: metric.value for metric in history} == used
