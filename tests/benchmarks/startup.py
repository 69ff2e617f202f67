"""How much CPU time do help, lists and the report of a small search take, beside Optuna's help?

Each command is a process of its own, in turns with `optuna --help`, its files in the page cache.

    python -m tests.benchmarks.startup
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks.big_report import Size, write
from tests.benchmarks.report import MET, MISSED, heading, spread, verdict

TUNERY = str(Path(sys.executable).with_name("tunery"))
COMMANDS = {
    "tune --help": (1.2, [sys.executable, "-m", "trainables.tune", "--help"]),
    "tune --list": (1.7, [sys.executable, "-m", "trainables.tune", "--list"]),
    "train --help": (1.2, [sys.executable, "-m", "trainables.train", "--help"]),
    "reports --help": (1.2, [sys.executable, "-m", "reports", "--help"]),
    "tunery --help": (1.2, [TUNERY, "--help"]),
    "tunery tune --help": (1.2, [TUNERY, "tune", "--help"]),
    "tunery list": (1.7, [TUNERY, "list"]),
}
"""The largest ratio to the CPU time of Optuna, 0.6 s: 0.7 s, and 1 s."""
REPORT, TRIALS, LENGTH = 8.4, 40, 12
"""The largest ratio of a report of so many trials of so many reports: 5 s."""
OPTUNA = [str(Path(sys.executable).with_name("optuna")), "--help"]
ROUNDS = 7


def measure(command: list[str]) -> float:
    """Return the seconds of CPU of a command, user and system."""
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def main() -> int:
    """Print the times and their ratios; gives the exit code."""
    heading("start-up: CPU time of commands that run nothing")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), Size(TRIALS, LENGTH))
        options = ["--storage", folder, "--out", f"{folder}/report", "--no-log"]
        report = REPORT, [sys.executable, "-m", "reports", "big", *options]
        return compare({**COMMANDS, f"report of {TRIALS} trials": report})


def compare(commands: dict[str, tuple[float, list[str]]]) -> int:
    """Measure commands in turns with Optuna's help, and return the exit code."""
    met = True
    for name, (required, command) in commands.items():
        measure(command), measure(OPTUNA)
        times = [(measure(command), measure(OPTUNA)) for _ in range(ROUNDS)]
        ours, theirs = ([pair[i] for pair in times] for i in (0, 1))
        print(f"{name}: {spread(ours)} s, optuna --help: {spread(theirs)} s")
        ratios = [a / b for a, b in times]
        met = verdict(f"{name} / optuna --help", ratios, below=required) and met
    return MET if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
