"""Every command in the README is run, in its order, in an empty folder, as a newcomer would."""

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

from tests.support.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")

# What would take hours, a GPU or the network here is run with less.
LESS = {
    "python -m trainables.tune --space svhn_150k": "--data synthetic --trials 1 --reports 1 "
    "--set stem=8 --set width=8 --set growth=0",
    "python -m trainables.tune --space svhn_150k --trials 200 --reports 60 "
    "--gpus-per-trial 0.25": "--dry-run",
    "python -m trainables.train --space svhn_150k --set learning_rate=0.05": "--data synthetic "
    "--reports 1 --set stem=8 --set width=8 --set growth=0",
}

# None of what a user has in the environment may be found in anything that is written.
SECRET = "pl4nted-" + "s3cret"
SECRETS = ("AWS_SECRET_ACCESS_KEY", "HF_TOKEN", "MLFLOW_TRACKING_PASSWORD", "WANDB_API_KEY")


def commands(text: str = README) -> list[str]:
    """Give the lines of all shell blocks that are Python's or MLflow's, but for the tests."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.S)
    lines = [line for block in blocks for line in block.strip().splitlines()]
    lines = [line.removeprefix("pip install . && ") for line in lines]
    return [line for line in lines if line.startswith(("python ", "mlflow "))]


def results() -> list[str]:
    """Give the commands that the results were made by, hours of work: these are only planned."""
    return commands(README.partition("## Results")[2])


def test_shortened_commands_are_in_the_readme() -> None:
    assert set(LESS) <= set(commands())


def test_the_test_command_stands_alone_on_its_line() -> None:
    assert re.search(r"^pip install -e '\.\[dev\]' && pytest$", README, re.M)


def test_what_the_readme_links_to_exists() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_newcomer_types_the_readme(tmp_path: Path) -> None:
    example = re.search(r"```python\n(.*?)```", README, re.S)
    assert example is not None
    (tmp_path / "mine.py").write_text(example[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNERY_CACHE": str(tmp_path / "cache")}
    environment.pop("TUNERY_DATA", None)
    environment.update(dict.fromkeys(SECRETS, SECRET))
    for command in commands():
        if command.startswith("mlflow ui"):
            assert "<html" in open_in_browser(command, tmp_path, environment)
            continue
        less = "--dry-run" if command in results() else LESS.get(command, "")
        words = f"{command} {less}".split()
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        assert "Traceback" not in done.stderr, command
        if command == "python -m reports digits":
            assert "winner test accuracy:" in done.stdout
            assert (tmp_path / "report/digits/report.md").is_file()
        assert SECRET not in done.stdout + done.stderr, command
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


def open_in_browser(command: str, folder: Path, environment: dict[str, str]) -> str:
    """Start MLflow's page on a free port, fetch it, and end it."""
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
