"""Run the commands of the documents in an empty folder, as a newcomer would, and check the rest.

README.md and reports/README.md are each followed from top to bottom; the results in
searchspaces/README.md took hours, so that their commands run with --dry-run.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from cluster import cli
from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

# What would take minutes, a GPU or the network runs with these options added.
LESS = {
    "python -m trainables.tune --space digits": "--trials 10",
    "python -m trainables.tune --space svhn_150k": "--data synthetic --trials 1 --reports 1 "
    "--set stem=8 --set width=8 --set growth=0",
    "python -m trainables.tune --space svhn_150k --trials 200 --reports 60 "
    "--gpus-per-trial 0.25": "--dry-run",
    "python -m trainables.train --space svhn_150k --set learning_rate=0.05": "--data synthetic "
    "--reports 1 --set stem=8 --set width=8 --set growth=0",
}

# No secret of the user's environment may appear in anything that is printed or written.
SECRET = "pl4nted-" + "s3cret"
SECRETS = ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD", "WANDB_API_KEY")


def read_commands(document: str) -> list[str]:
    """Return the lines of a document's `sh` blocks that call Python or MLflow."""
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.strip().splitlines()]
    lines = [line.removeprefix("pip install . && ") for line in lines]
    return [line for line in lines if line.startswith(("python ", "mlflow "))]


FOLLOWED = [line for line in read_commands("README.md") if "--cluster" not in line]
ON_A_CLUSTER = [line for line in read_commands("README.md") if "--cluster" in line]


def run_command(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Run a documented command in a folder; returns what it printed. It must succeed."""
    done = subprocess.run(
        [sys.executable, *command.split()[1:]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "Traceback" not in done.stderr, command
    assert SECRET not in done.stdout + done.stderr, command
    return done.stdout


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return the environment of a newcomer with secrets and without data."""
    made = {**os.environ, "PYTHONPATH": str(ROOT), "TUNERY_CACHE": str(tmp_path / "cache")}
    made.pop("TUNERY_DATA", None)
    return made | dict.fromkeys(SECRETS, SECRET)


def test_shortened_commands_are_in_the_readme() -> None:
    assert set(LESS) <= set(FOLLOWED)


def test_the_test_command_stands_alone_on_its_line() -> None:
    assert re.search(r"^pip install -e '\.\[dev\]' && pytest -n 2$", README, re.M)


def test_every_command_of_the_readme_is_run() -> None:
    blocks = re.findall(r"```(\w*)\n(.*?)```", README, re.S)
    assert {language for language, _ in blocks} == {"sh", "python"}
    lines = [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]
    run = [line.removeprefix("pip install . && ") for line in lines]
    by_ci = ["pip install -e '.[dev]' && pytest -n 2"]
    assert sorted(run) == sorted([*read_commands("README.md"), *by_ci])


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_newcomer_follows_the_readme(tmp_path: Path, environment: dict[str, str]) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.S)
    assert example is not None
    (tmp_path / "mine.py").write_text(example[1])
    follow(FOLLOWED, tmp_path, environment)
    assert (tmp_path / "report/digits/report.md").is_file()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_newcomer_follows_the_page_of_the_reports(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    digits = "python -m trainables.tune --space digits --executor inline --trials 6"
    svhn = "python -m trainables.tune --space svhn_150k"
    searches = [digits, f"{digits} --fresh", f"{svhn} {LESS[svhn]} --executor inline"]
    follow([*searches, *read_commands("reports/README.md")], tmp_path, environment)


def follow(commands: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run documented commands one after the other, and look for secrets in what they write."""
    for command in commands:
        if command.startswith("mlflow ui"):
            assert "<html" in open_in_browser(command, folder, environment)
            continue
        printed = run_command(f"{command} {LESS.get(command, '')}", folder, environment)
        if command == "python -m reports digits":
            assert "winner test accuracy:" in printed
    for path in folder.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_results_can_be_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TUNERY_DATA", raising=False)
    commands = read_commands("searchspaces/README.md")
    assert commands
    for command in commands:
        words = command.split()
        if words[2] != "trainables.tune":
            continue
        code = cli.main([*words[3:], *([] if "--dry-run" in words else ["--dry-run"])])
        assert code == 0, (command, capsys.readouterr())


@pytest.mark.parametrize("command", ON_A_CLUSTER)
def test_a_search_on_a_cluster_can_be_planned(command: str, environment: dict[str, str]) -> None:
    pytest.importorskip("aiohttp_cors", reason="Ray's launcher needs: pip install '.[cluster]'")
    printed = run_command(f"{command} --dry-run", ROOT, environment)
    assert "cluster/gpu.yaml" in printed


def open_in_browser(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Start MLflow's page on a free port, return its HTML, and stop the server."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", *command.split(), "--port", str(port)]
    server = subprocess.Popen(
        words,
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as page:
                    return str(page.read().decode())
            except OSError:
                assert time.monotonic() < deadline, "the MLflow page did not come up"
                time.sleep(0.5)
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=20)
