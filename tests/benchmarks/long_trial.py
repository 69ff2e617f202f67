"""Does the cost of a report grow with the number of reports before it?

One trial of a small model whose every report is the best so far, so that both checkpoints are
written: CPU time of `Run.record`, of the ledger's event, and of the search for the best report,
each around report 100, 1,000 and 20,000. The checksum of a checkpoint is measured for 50 MB of
weights.

    python -m tests.benchmarks.long_trial
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from cluster.ledger.ledger import create_ledger
from cluster.ledger.settings import SearchSettings
from tests.benchmarks.report import MET, MISSED, heading, verdict
from trainables import checkpoint
from trainables.integrity import sum_file
from trainables.run import Run

REQUIRED = 1.5
"""Largest ratio of the cost at the last place to that at the first."""
PLACES = (100, 1000, 20_000)
SAMPLE = 100
"""Reports whose median is taken at each place."""


def measure(act: Callable[[int], object]) -> dict[int, float]:
    """Call `act` with every number of a report; return milliseconds of CPU around each place."""
    found = {}
    taken: list[float] = []
    for report in range(1, PLACES[-1] + 1):
        started = time.process_time()
        act(report)
        taken.append(time.process_time() - started)
        if report in PLACES:
            found[report] = 1000 * statistics.median(taken[-SAMPLE:])
    return found


def measure_run(folder: Path) -> dict[int, float]:
    """Return the cost of `Run.record` with a folder."""
    run = Run(PLACES[-1], metric="loss", mode="min", folder=folder)
    run.resume(model=torch.nn.Linear(2, 2))
    return measure(lambda report: run.record({"loss": 1.0 / report, "a": 1.0, "b": 2.0}))


def measure_ledger(folder: Path) -> dict[int, float]:
    """Return the cost of recording a report in a ledger, and finding the best one."""
    settings = SearchSettings(
        space="long", metric="loss", mode="min", trials=1, reports=PLACES[-1]
    )
    ledger = create_ledger(folder, settings)
    log = ledger.add_trial(0, {}, {})

    def act(report: int) -> None:
        metrics = {"loss": 1.0 / report, "a": 1.0, "b": 2.0}
        entry = {"report": report, "seconds": float(report), "metrics": metrics}
        ledger.record_reports(0, [entry], {})
        ledger.best_report(log)

    found = measure(act)
    ledger.close()
    return found


def measure_checksum(folder: Path) -> tuple[float, float]:
    """Return the seconds of writing a checkpoint of 50 MB, and of its checksum alone."""
    tree = checkpoint.capture({"model": torch.nn.Linear(1250, 10_000, bias=False)})
    write, check = [], []
    for report in range(1, 16):
        started = time.perf_counter()
        checkpoint.write(folder, {"report": report}, tree)
        write.append(time.perf_counter() - started)
        (file,) = folder.glob("*.safetensors")
        started = time.perf_counter()
        sum_file(file)
        check.append(time.perf_counter() - started)
    return statistics.median(write), statistics.median(check)


def main() -> int:
    """Print the costs; gives the exit code."""
    torch.set_num_threads(1)
    heading("long trial: CPU time of a report, by the number of reports before it")
    met = True
    with tempfile.TemporaryDirectory(prefix="long-trial-") as scratch:
        for name, part in {"Run.record": measure_run, "ledger": measure_ledger}.items():
            found = part(Path(scratch) / name)
            print(", ".join(f"{ms:.3f} ms at {report:,}" for report, ms in found.items()))
            ratio = found[PLACES[-1]] / found[PLACES[0]]
            met = verdict(f"{name}, last / first", [ratio], below=REQUIRED) and met
        write, check = measure_checksum(Path(scratch) / "checkpoint")
        print(f"checkpoint of 50 MB: {1000 * write:.1f} ms, {1000 * check:.1f} ms of it checksum")
    return MET if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
