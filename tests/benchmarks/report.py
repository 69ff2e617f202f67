"""What all benchmarks print: machine and versions above their numbers, the verdict below them."""

from __future__ import annotations

import json
import os
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from cluster.tracking.provenance import describe_hardware, find_commit, list_versions
from trainables.environment import find_data_folder

MET, MISSED, IMPOSSIBLE = 0, 1, 2
"""Exit codes: a benchmark that cannot be done has neither met nor missed anything."""

CPUINFO = Path("/proc/cpuinfo")


def heading(title: str) -> None:
    """Print what is measured, where and with what; the load tells whether the machine is quiet."""
    lines = CPUINFO.read_text().splitlines() if CPUINFO.exists() else []
    model = next((line.partition(":")[2] for line in lines if line.startswith("model name")), "")
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(title)
    print(f"machine: {describe_hardware()}{' of' + model if model else ''}{load}")
    print(
        "versions: " + ", ".join(f"{name} {version}" for name, version in list_versions().items())
    )
    print(f"commit: {find_commit(Path(__file__)) or 'unknown'}\n", flush=True)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Write median, range and n."""
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f}, n = {len(values)})"


def verdict(what: str, values: Sequence[float], *, least: float = 0, below: float = 0) -> bool:
    """Print a ratio beside what is required of its median; gives whether it is met."""
    middle = statistics.median(values)
    met = middle >= least if least else middle < below
    required = f"at least {least:g}" if least else f"less than {below:g}"
    print(
        f"{what}: median {spread(values, 3)}; required {required}: {'met' if met else 'NOT MET'}"
    )
    return met


def real_data(name: str) -> Path:
    """Return the folder of the data; exits the benchmark where there is none."""
    folder = find_data_folder(None)
    if folder is None:
        print(
            f"this needs real data: set TUNERY_DATA to a folder that holds {name}/ with "
            "train.parquet and test.parquet",
            file=sys.stderr,
        )
        sys.exit(IMPOSSIBLE)
    return folder


def events(path: Path) -> list[dict[str, object]]:
    """Read a file of one JSON value per line."""
    return [json.loads(line) for line in path.read_text().splitlines()]
