"""What do very many trials cost? Time per trial, first to last, and the memory of the driver.

Three questions, each one search of `trivial.py` from the command line, with ledger and MLflow:

    python -m tests.benchmarks.scale                          10,000 trials of 10 reports
    python -m tests.benchmarks.scale --slots 16               2,000 trials that sleep for a second
    python -m tests.benchmarks.scale --nodes 40 --trials 400  as many nodes, one slot each

The first compares the first thousand trials with the last. The other two run on a Ray cluster on
this machine that claims so many CPUs, and compare the time from the moment when every slot has
made its first report until the last trial has ended with the ideal: trials / slots seconds.
Sleeping takes no CPU, so slots may be more than cores; starting them does, and is measured apart.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.ledger.ledger import Ledger
from tests.benchmarks.report import MET, MISSED, heading, verdict

FLAT, MEMORY, OVER = 1.2, 1.5, 1.1  # at most: last over first thousand, GB, over ideal
SPACE = Path(__file__).with_name("trivial.py")


@contextmanager
def cluster(nodes: int, slots: int) -> Iterator[list[str]]:
    """Start nodes with so many CPUs each; gives the words that join them (none: on its own)."""
    if not slots:
        yield []
        return
    from ray.cluster_utils import Cluster

    head = {"num_cpus": slots if nodes == 1 else 0}
    made = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(nodes if nodes > 1 else 0):
        made.add_node(num_cpus=slots)
    try:
        yield ["--address", made.address, "--concurrency", str(nodes * slots)]
    finally:
        made.shutdown()


def searched(storage: Path, trials: int, reports: int, words: list[str]) -> tuple[Ledger, float]:
    """Run the search; gives its ledger and the driver's largest memory in GB."""
    command = [sys.executable, "-m", "trainables.tune", "--space", str(SPACE)]
    command += ["--storage", str(storage), "--sampler", "random", "--scheduler", "none"]
    command += ["--trials", str(trials), "--reports", str(reports), *words]
    peak = 0
    with (storage / "output.txt").open("w") as out:
        driver = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        while driver.poll() is None:
            peak = max(peak, resident(driver.pid))
            time.sleep(1)
    if driver.returncode:
        raise SystemExit((storage / "output.txt").read_text()[-3000:])
    ledger = ledgers.reopen_ledger(storage / SPACE.stem)
    ledger.close()
    return ledger, peak / 1e6


def resident(process: int) -> int:
    """Return the peak memory of a process, in kB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM")), 0)


def flat(ledger: Ledger, memory: float) -> bool:
    """Compare the last thousand trials with the first, and print what all took."""
    ends = sorted(trial_log.ended for trial_log in ledger.trial_logs.values())
    part = max(2, min(1000, len(ends) // 3))
    first, last = (ends[i + part - 1] - ends[i] for i in (0, len(ends) - part))
    whole = (ends[-1] - ends[0]) / len(ends)
    print(f"{whole * 1e3:.1f} ms per trial; first {part:,}: {first / part * 1e3:.1f} ms, ", end="")
    print(f"last {part:,}: {last / part * 1e3:.1f} ms")
    steady = verdict("last over first trials", [last / first], below=FLAT)
    return verdict("driver's largest memory, GB", [memory], below=MEMORY) and steady


def over_ideal(ledger: Ledger, nodes: int, slots: int, nap: float) -> bool:
    """Compare the time with every slot at work with the ideal."""
    trial_logs = ledger.trial_logs.values()
    begun = min(trial_log.started for trial_log in trial_logs)
    firsts = sorted(trial_log.reports[0].time for trial_log in trial_logs)
    ready = firsts[slots - 1]
    ended = max(trial_log.ended for trial_log in trial_logs)
    left = sum(trial_log.reports[0].time > ready for trial_log in trial_logs)
    ideal = left * nap / slots
    print(f"{slots} slots were at work after {ready - begun:.1f} s; then {left:,} trials took ")
    print(f"{ended - ready:.1f} s, ideally {ideal:.1f} s")
    if nodes > 1:  # how fast a driver is that shares its cores with all these nodes tells little
        print(f"over ideal: {(ended - ready) / ideal:.3f}, for information")
        return True
    return verdict("over ideal", [(ended - ready) / ideal], below=OVER)


def main() -> int:
    """Run the command line; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale")
    p.add_argument("--trials", type=int, help="default: 10000, or 2000 with --slots")
    p.add_argument("--reports", type=int, default=10)
    p.add_argument("--slots", type=int, default=0, help="trials at once that sleep for a second")
    p.add_argument("--nodes", type=int, default=0, help="nodes of one slot each")
    options = p.parse_args()
    sleeping = bool(options.slots or options.nodes)
    nodes, slots = max(1, options.nodes), options.slots or int(sleeping)
    trials = options.trials or (2_000 if sleeping else 10_000)
    reports = 1 if sleeping else options.reports
    words = ["--set", "nap=1.0"] if sleeping else []
    heading(
        f"{trials:,} trials of {reports} reports, {nodes * slots or 'as many as cores'} at once"
    )
    with (
        tempfile.TemporaryDirectory(prefix="scale-", ignore_cleanup_errors=True) as storage,
        cluster(nodes, slots) as joining,
    ):
        started = time.perf_counter()
        ledger, memory = searched(Path(storage), trials, reports, [*words, *joining])
        print(f"whole command: {time.perf_counter() - started:.0f} s")
        met = over_ideal(ledger, nodes, nodes * slots, 1.0) if sleeping else flat(ledger, memory)
    return MET if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
