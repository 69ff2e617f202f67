"""Print one table: do the conclusions of a report hold at their level?

Every row is a share of simulated experiments with its standard error; a required one is met up
to two standard errors of the nominal level. The parts run in parallel, one process per CPU core,
and their rows alternate.
"""

from __future__ import annotations

import argparse
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from tests.benchmarks.calibration import arms, ensembles, intervals, means, searches, winners
from tests.benchmarks.report import MET, MISSED, heading

SIMULATIONS = {
    "errors": means.simulate_errors,
    "winners": winners.simulate,
    "power": means.simulate_power,
    "ensembles": ensembles.simulate,
    "intervals": intervals.simulate,
    "searches": searches.simulate,
    "arms": arms.simulate,
    "unstable": arms.simulate_unstable,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the simulations and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.calibration")
    parser.add_argument("--experiments", type=int, default=1000, help="per row (default 1000)")
    parser.add_argument("--only", nargs="+", choices=SIMULATIONS, help="these parts of the table")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    heading(
        f"Conclusions of a report in {options.experiments:,} simulated experiments per row, whole "
        "searches and ensembles in fewer"
    )
    print("| what | setting | required | share | standard error | n | |")
    print("| :--- | :--- | ---: | ---: | ---: | ---: | :--- |", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        run = partial(simulate_part, experiments=options.experiments)
        missed = sum(pool.map(run, options.only or SIMULATIONS))
    print(f"\n{missed} required rows missed" if missed else "\nall required rows met")
    return MISSED if missed else MET


def simulate_part(name: str, experiments: int) -> int:
    """Print the rows of one part of the table, and return how many required ones are missed."""
    missed = 0
    for row in SIMULATIONS[name](experiments):
        print(row.to_line(), flush=True)
        missed += row.is_required and not row.holds
    return missed


if __name__ == "__main__":
    sys.exit(main())
