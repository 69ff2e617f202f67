"""How long do help, lists, a small report and the start of a search take, beside Optuna's help?

Each command is a process of its own, in turns with `optuna --help`, its files in the page cache.
Of the first ones CPU time is compared; of a search the time until its first line and its first
report, of a task that needs no time.

    python -m tests.benchmarks.startup     (short: --rounds 1 --only inline)
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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
STARTS = {"inline": 5.0, "ray": 20.0}
"""The largest ratio of the time until the first report: 3 s, and 12 s on two idle cores."""
FIRST_LINE = 1.7
"""The largest ratio of the time until the first line of a search: 1 s."""
OPTUNA = [str(Path(sys.executable).with_name("optuna")), "--help"]
TRIVIAL = str(Path(__file__).with_name("trivial.py"))
ROUNDS = 7


def measure(command: list[str]) -> float:
    """Return the seconds of CPU of a command, user and system."""
    before = os.times()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return spent - before.children_user - before.children_system


def measure_wall(command: list[str]) -> float:
    """Return the seconds of a command from its start to its end."""
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def measure_start(executor: str) -> tuple[float, float]:
    """Return the seconds from the start of a search to its first line, and to its first report."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as storage:
        command = [sys.executable, "-m", "trainables.tune", "--space", TRIVIAL, "--trials", "1"]
        command += ["--reports", "1", "--storage", storage, "--executor", executor]
        screen, terminal = pty.openpty()  # what is being loaded is printed on a terminal only
        began = time.time()
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=terminal, text=True
        ) as search:
            os.close(terminal)
            os.read(screen, 1)
            first_line = time.time() - began
            output, _ = search.communicate()
            os.close(screen)
        if search.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{output}")
        (log,) = Path(storage).glob("trivial/trials/*/reports.jsonl")
        events = map(json.loads, log.read_text().splitlines())
        return first_line, next(e["time"] for e in events if "report" in e) - began


def main() -> int:
    """Print the times and their ratios; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.startup")
    p.add_argument("--rounds", type=int, default=ROUNDS)
    p.add_argument("--only", metavar="WORD", default="", help="what has this word in its name")
    options = p.parse_args()
    heading("start-up: CPU time of commands that run nothing, and the time until a search trains")
    met = True
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), Size(TRIALS, LENGTH))
        place = ["--storage", folder, "--out", f"{folder}/report", "--no-log"]
        report = REPORT, [sys.executable, "-m", "reports", "big", *place]
        for name, (required, command) in {
            **COMMANDS,
            f"report of {TRIALS} trials": report,
        }.items():
            if options.only in name:
                met = compare(name, required, lambda c=command: measure(c), options.rounds) and met
    for executor, required in STARTS.items():
        if options.only in executor:
            met = compare_start(executor, required, min(3, options.rounds)) and met
    return MET if met else MISSED


def compare(name: str, required: float, ours: Callable[[], float], rounds: int) -> bool:
    """Measure a command in turns with Optuna's help, and return whether it is fast enough."""
    ours(), measure(OPTUNA)
    return _judge(name, required, [(ours(), measure(OPTUNA)) for _ in range(rounds)])


def compare_start(executor: str, required: float, rounds: int) -> bool:
    """Measure starts of searches in turns with Optuna's help; return whether they are fast."""
    measure_start(executor), measure_wall(OPTUNA)
    times = [(*measure_start(executor), measure_wall(OPTUNA)) for _ in range(rounds)]
    lines = [(line, optuna) for line, _, optuna in times]
    reports = [(report, optuna) for _, report, optuna in times]
    first = _judge(f"first line, {executor}", FIRST_LINE, lines)
    return _judge(f"first report, {executor}", required, reports) and first


def _judge(name: str, required: float, times: list[tuple[float, float]]) -> bool:
    ours, theirs = ([pair[i] for pair in times] for i in (0, 1))
    print(f"{name}: {spread(ours)} s, optuna --help: {spread(theirs)} s")
    return verdict(f"{name} / optuna --help", [a / b for a, b in times], below=required)


if __name__ == "__main__":
    sys.exit(main())
