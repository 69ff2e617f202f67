"""What does a trial cost that does nothing? Tunery against plain Ray Tune with the usual glue.

64 trials of 5 reports with TPE, no early stopping, two at once, every report into an SQLite file
of MLflow: once as `python -m trainables.tune --space trivial.py`, once as the script
`plain_ray.py`; each in a process of its own, in an empty folder, in turns. Two times are taken
for both, and both are divided by the number of trials:

- whole: the command from its start to its end, with all imports, Ray's and MLflow's start, and
  for Tunery the study in a journal file, the ledger and the summary;
- search: from the first report that MLflow knows to the end of the last run in MLflow, so
  without start-up, but until everything is written (Tunery's parent run ends last). Later
  starts of workers are part of it: that they are needed is a property of the platform.

    python -m tests.benchmarks.overhead     (short: --rounds 1 --trials 8)
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.report import MET, MISSED, heading, spread, verdict

REQUIRED = 5.0
TUNERY = ["trainables.tune", "--space", str(Path(__file__).with_name("trivial.py"))]
TUNERY += ["--scheduler", "none"]
PLAIN = ["tests.benchmarks.plain_ray"]


def measured(start: list[str], trials: int, reports: int, concurrency: int) -> tuple[float, float]:
    """Run one side in a process of its own; gives seconds per trial, whole and search."""
    with tempfile.TemporaryDirectory(prefix="overhead-", ignore_cleanup_errors=True) as storage:
        command = [sys.executable, "-m", *start, "--trials", str(trials)]
        command += ["--reports", str(reports), "--concurrency", str(concurrency)]
        started = time.perf_counter()
        done = subprocess.run(
            [*command, "--storage", storage],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        whole = time.perf_counter() - started
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
        search = recorded(Path(storage) / "mlflow.db", trials, reports)
    return whole / trials, search / trials


def recorded(database: Path, trials: int, reports: int) -> float:
    """Return the seconds from the first report to the end of the last run; alike on both sides.

    Ends the benchmark where a report is missing: it would have been saved time.
    """
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (found, first), *_ = connection.execute(
            "select count(*), min(timestamp) from metrics where key = 'value'"
        )
        (unfinished, last), *_ = connection.execute(
            "select sum(status != 'FINISHED'), max(end_time) from runs"
        )
    if found != trials * reports or unfinished:
        raise SystemExit(
            f"MLflow has {found} reports of {trials} x {reports}, {unfinished} runs unfinished"
        )
    return float(last - first) / 1000


def main() -> int:
    """Run the command line; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.overhead")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--trials", type=int, default=64)
    p.add_argument("--reports", type=int, default=5)
    p.add_argument("--concurrency", type=int, default=2)
    p.add_argument("--reuse", action="store_true", help="also plain Ray with reuse_actors=True")
    options = p.parse_args()
    heading(
        f"{options.trials} trivial trials of {options.reports} reports, "
        f"{options.concurrency} at once"
    )
    sides = {"Tunery": TUNERY, "plain Ray": PLAIN}
    if options.reuse:
        sides["plain Ray, actors reused"] = [*PLAIN, "--reuse-actors"]
    taken: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
    for turn in range(options.rounds):
        for side in list(sides)[:: 1 if turn % 2 == 0 else -1]:
            found = measured(sides[side], options.trials, options.reports, options.concurrency)
            taken[side].append(found)
            print(f"round {turn + 1}  {side:26s} whole {found[0]:.3f}  search {found[1]:.3f}")
            sys.stdout.flush()
    print("\nseconds per trial, median (range)")
    ours, *rivals = sides
    met = []
    for place, what in enumerate(("whole command", "search without start-up")):
        times = {side: [both[place] for both in taken[side]] for side in sides}
        for side in sides:
            print(f"  {what:24s} {side:26s} {spread(times[side], 3)}")
        for rival in rivals:
            ratios = [b / a for a, b in zip(times[ours], times[rival], strict=True)]
            if rival == "plain Ray":
                met.append(verdict(f"{what}: {rival} / {ours}", ratios, least=REQUIRED))
            else:
                print(f"{what}: {rival} / {ours}: {spread(ratios)}; for information")
    return MET if all(met) else MISSED


if __name__ == "__main__":
    sys.exit(main())
