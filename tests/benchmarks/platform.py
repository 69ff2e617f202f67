"""What does the platform cost? Images per second inside a search over those of the bare loop.

`svhn_150k`'s default trial runs as the only trial of `python -m trainables.tune`, and as a plain
loop over the same generator in a process of its own, with the same number of threads. Both sides
read the clock of `Run.record`, once per report, in the process that trains. What lies between
the first report and the last is counted: the epochs and their validation on both sides; on the
search's side also the checkpoints, the way to the driver and back, and the driver's work on the
same machine (ledger, Optuna, MLflow, screen). Not counted are start-up, the first report and
the predictions after the last. Ray runs its workers at a niceness of 15, so on a machine that is
not otherwise idle the search alone is slowed down. Both sides must report the very same numbers,
or they have not done the same work.

    TUNERY_DATA=... python -m tests.benchmarks.platform     (short: --pairs 1 --reports 2)
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch

from searchspaces.loading import load_space
from tests.benchmarks.report import MET, MISSED, events, heading, real_data, verdict
from trainables.data.load import load_svhn
from trainables.run import Run
from trainables.tasks.svhn_separable import Config

SPACE = "svhn_150k"
REQUIRED = 0.97
THREADS = 1  # a trial of the space takes one CPU
WORKER = {"OMP_NUM_THREADS": str(THREADS), "OMP_WAIT_POLICY": "PASSIVE"}  # as Ray's workers have

History = list[dict[str, Any]]


def bare(reports: int, data: Path) -> None:
    """Train without any platform, and print the history."""
    torch.set_num_threads(THREADS)
    space = load_space(SPACE)
    run = Run(reports=reports, metric=space.metric, mode=space.mode, data=data)
    for metrics in space.train(space.config(), run):
        run.record(metrics)
    print(json.dumps(run.history))


def driven(reports: int, data: Path) -> History:
    """Run `bare` in a fresh process."""
    command = ["-m", "tests.benchmarks.platform", "--bare", "--reports", str(reports)]
    history: History = json.loads(_python(command, data))
    return history


def searched(reports: int, data: Path) -> History:
    """Run a search of one trial as a user does, and read its ledger."""
    with tempfile.TemporaryDirectory(prefix="platform-", ignore_cleanup_errors=True) as storage:
        command = ["-m", "trainables.tune", "--space", SPACE, "--trials", "1"]
        command += ["--reports", str(reports), "--concurrency", "1", "--storage", storage]
        _python(command, data)
        trial_log = events(Path(storage) / SPACE / "trials" / "000" / "reports.jsonl")
    return [event for event in trial_log if "report" in event]


def seconds(history: History) -> float:
    """Return the seconds per report, from the first to the last."""
    return float(history[-1]["seconds"] - history[0]["seconds"]) / (len(history) - 1)


def compare(pairs: int, reports: int) -> bool:
    """Measure in pairs, each side first in turn, and print; gives whether enough is reached."""
    data = real_data("svhn")
    heading(f"platform against bare loop: {SPACE}, default trial, {THREADS} thread")
    config = Config()
    train = load_svhn(Run(reports=1, data=data)).train  # decoded before anything is timed
    seen = len(train) // config.batch_size * config.batch_size * config.epochs
    print(f"{seen} images per report, {reports - 1} of {reports} reports measured")
    print(f"{'pair':>4s} {'bare, images/s':>15s} {'search, images/s':>17s} {'ratio':>7s}")
    ratios = []
    for pair in range(pairs):
        sides = (driven, searched) if pair % 2 == 0 else (searched, driven)
        found = {side: side(reports, data) for side in sides}
        numbers = [[entry["metrics"] for entry in found[side]] for side in sides]
        if numbers[0] != numbers[1]:
            raise SystemExit(f"the two sides did not train the same: {numbers}")
        loop, search = (seen / seconds(found[side]) for side in (driven, searched))
        ratios.append(search / loop)
        print(f"{pair + 1:4d} {loop:15.1f} {search:17.1f} {ratios[-1]:7.3f}", flush=True)
    return verdict("search / bare loop", ratios, least=REQUIRED)


def _python(arguments: list[str], data: Path) -> str:
    environment = {**os.environ, **WORKER, "TUNERY_DATA": str(data)}
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, text=True
    )
    if done.returncode:
        raise SystemExit(f"python {' '.join(arguments)} failed:\n{done.stdout}")
    return done.stdout


def main() -> int:
    """Run the command line; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.platform")
    p.add_argument("--pairs", type=int, default=5)
    p.add_argument("--reports", type=int, default=4, help="2 or more; the first is not counted")
    p.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.reports < 2:
        p.error("--reports must be 2 or more: the first is not counted")
    if options.bare:
        bare(options.reports, real_data("svhn"))
        return MET
    return MET if compare(options.pairs, options.reports) else MISSED


if __name__ == "__main__":
    sys.exit(main())
