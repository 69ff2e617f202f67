"""Do trials on one data set share its memory? Four processes that all hold SVHN, weighed.

The processes are started as Ray starts workers: apart from each other, with the Trainable and
what it imports. Their proportional set sizes (PSS: a page that n processes share counts 1/n in
each) are summed before they load the data through `trainables.data.images`, and again when each
has touched every page. The data lie in a cache of this benchmark alone: a search that runs beside
it would bear part of their weight. With `--private` each process copies them, and the requirement
must be missed. Linux only.

    TUNERY_DATA=... python -m tests.benchmarks.memory
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from tests.benchmarks.report import IMPOSSIBLE, MET, MISSED, heading, real_data, verdict
from trainables.data.load import load_svhn
from trainables.run import Run

REQUIRED = 1.2
PAGE = 4096  # bytes; where pages are larger, some are touched twice


def hold(private: bool) -> None:
    """Load the data at a signal, touch every page, print their size, and hold them."""
    torch.set_num_threads(1)
    folder = real_data("svhn")
    print("ready", flush=True)
    sys.stdin.readline()
    data = load_svhn(Run(reports=1, data=folder))
    distinct = {s.pixels.data_ptr(): s.pixels for s in (data.train, data.validation, data.test)}
    pixels = [p.clone() if private else p for p in distinct.values()]
    touched = sum(int(p.view(-1)[::PAGE].sum()) for p in pixels)
    print(sum(p.nbytes for p in pixels), touched, flush=True)
    sys.stdin.readline()


def pss(process: int) -> int:
    """Return a process's proportional set size in bytes; raises OSError where it is unknown."""
    folder = Path("/proc") / str(process)
    try:
        text = (folder / "smaps_rollup").read_text()
    except OSError:
        text = (folder / "smaps").read_text()  # the same, mapping by mapping
    found = [int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")]
    if not found:
        raise OSError(f"{folder}/smaps says nothing of Pss")
    return 1024 * sum(found)


def weigh(count: int, private: bool, cache: str) -> tuple[int, int, int]:
    """Return the summed PSS of the processes before and after loading, and one copy's size."""
    environment = {**os.environ, "TUNERY_CACHE": cache, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.benchmarks.memory", "--hold"]
    holders = [
        subprocess.Popen(
            [*command, *(["--private"] if private else [])],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(count)
    ]
    try:
        for holder in holders:
            _ask(holder, send=False)
        before = sum(pss(holder.pid) for holder in holders)
        copies = [int(_ask(holder).split()[0]) for holder in holders]
        after = sum(pss(holder.pid) for holder in holders)
    finally:
        for holder in holders:
            holder.kill()
            holder.communicate()
    return before, after, copies[0]


def _ask(holder: subprocess.Popen[str], send: bool = True) -> str:
    assert holder.stdin is not None and holder.stdout is not None
    if send:
        holder.stdin.write("\n")
        holder.stdin.flush()
    answer = holder.stdout.readline()
    if not answer:
        raise SystemExit("a process that was to hold the data has died")
    return answer


def main() -> int:
    """Run the command line; gives the exit code."""
    p = argparse.ArgumentParser(prog="python -m tests.benchmarks.memory")
    p.add_argument("--processes", type=int, default=4)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--private", action="store_true", help="every process copies: must not be met")
    p.add_argument("--hold", action="store_true", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.hold:
        hold(options.private)
        return MET
    if sys.platform != "linux":
        print(f"only Linux tells the proportional set size; this is {sys.platform}")
        return IMPOSSIBLE
    folder = real_data("svhn")
    heading(f"memory: {options.processes} processes that hold SVHN")
    print(f"{'round':>5s} {'before, MB':>11s} {'after, MB':>10s} {'growth':>7s} {'one copy':>9s}")
    ratios = []
    with tempfile.TemporaryDirectory(prefix="memory-") as cache:
        load_svhn(Run(reports=1, data=folder, cache=Path(cache)))  # decoded before all is weighed
        for turn in range(options.rounds):
            try:
                before, after, copy = weigh(options.processes, options.private, cache)
            except OSError as error:
                print(f"this machine does not tell the proportional set size: {error}")
                return IMPOSSIBLE
            shown = [f"{size / 1e6:.1f}" for size in (before, after, after - before, copy)]
            print(f"{turn + 1:5d} {shown[0]:>11s} {shown[1]:>10s} {shown[2]:>7s} {shown[3]:>9s}")
            ratios.append((after - before) / copy)
    met = verdict("growth / one copy", ratios, below=REQUIRED)
    return MET if met else MISSED


if __name__ == "__main__":
    sys.exit(main())
