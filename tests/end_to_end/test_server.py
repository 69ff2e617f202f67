"""A real tracking server with a login in its address, which goes away while a search runs."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from tests.support.mlflow_server import Server
from tests.support.searches import count_reports, read_ledger

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

Start = Callable[..., Any]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    made.kill()


def assert_server_has_the_ledger(server: Server, folder: Path, trials: int) -> None:
    client = MlflowClient(f"http://{server.address}")
    experiment = client.get_experiment_by_name("toy")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    trial_runs = [run for run in runs if run.data.tags["kind"] == "trial"]
    children = {run.info.run_name.partition(" ")[0]: run for run in trial_runs}
    assert len(children) == len(runs) - 1 == trials
    for trial_log in read_ledger(folder).trial_logs.values():
        run = children[f"toy-{trial_log.trial:03d}"]
        history = client.get_metric_history(run.info.run_id, "loss")
        logged = [(m.step, m.value) for m in history]
        assert sorted(logged) == [(r.report, r.metrics["loss"]) for r in trial_log.reports]
        assert client.list_artifacts(run.info.run_id, "predictions")
        assert client.list_artifacts(run.info.run_id, "checkpoint")
    assert not any("secret" in str(run.data) for run in runs)


def begin(start: Start, server: Server, space: Path) -> Any:
    return start(
        *("--space", space, "--scheduler", "none", "--set", "nap=1", "--executor", "inline"),
        *("--tracking-uri", f"http://me:secret@{server.address}"),
    )


def test_a_server_that_comes_back_gets_everything(
    start: Start, server: Server, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "toy"
    search = begin(start, server, space_file("SPACE = replace(SPACE, trials=5)"))
    search.wait_until(lambda: count_reports(folder) >= 2, 120)
    server.kill()
    search.wait_until(lambda: count_reports(folder) >= 8, 120)
    server.start()
    assert search.wait() == 0, search.output
    assert_server_has_the_ledger(server, folder, 5)
    assert "secret" not in search.output
    files = [path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl")]
    assert files
    assert not any("secret" in path.read_text() for path in files)


def test_a_server_that_stays_away_gives_code_3_and_the_command_that_writes_again(
    start: Start, server: Server, space_file: Callable[..., Path], tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "toy"
    search = begin(start, server, space_file("SPACE = replace(SPACE, trials=2)"))
    search.wait_until(lambda: count_reports(folder) >= 2, 120)
    server.kill()
    assert search.wait() == 3, search.output
    assert f"{server.address} is not complete" in search.output
    assert f"python -m cluster.tracking rebuild {folder} --tracking-uri" in search.output
    assert "Traceback" not in search.output
    assert "secret" not in search.output
    ledger = read_ledger(folder)
    assert ledger.finished
    assert [trial_log.done for trial_log in ledger.trial_logs.values()] == [4, 4]
    server.start()
    again = [sys.executable, "-m", "cluster.tracking", "rebuild", str(folder)]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "give --tracking-uri again" in done.stderr
    subprocess.run([*again, "--tracking-uri", f"http://{server.address}"], check=True)
    assert_server_has_the_ledger(server, folder, 2)
