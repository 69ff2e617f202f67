"""Print one table: do the conclusions of a report hold at their level?

Every row is a share of simulated experiments with its standard error; a required one is met up
to two standard errors of the nominal level.
"""

from __future__ import annotations

import argparse
import sys

from tests.benchmarks.calibration import arms, ensembles, means, searches
from tests.benchmarks.report import MET, MISSED, heading

SIMULATIONS = {
    "means": means.simulate,
    "ensembles": ensembles.simulate,
    "searches": searches.simulate,
    "arms": arms.simulate,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the simulations and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.calibration")
    parser.add_argument("--experiments", type=int, default=2000, help="per row (default 2000)")
    parser.add_argument("--only", choices=SIMULATIONS, help="one part of the table")
    options = parser.parse_args(arguments)
    heading(f"Conclusions of a report in {options.experiments:,} simulated experiments per row")
    print("| what | setting | required | share | standard error | n | |")
    print("| :--- | :--- | ---: | ---: | ---: | ---: | :--- |")
    missed = 0
    for name, simulate in SIMULATIONS.items():
        if options.only in (None, name):
            for row in simulate(options.experiments):
                missed += row.is_required and not row.holds
                print(row.to_line(), flush=True)
    print(f"\n{missed} required rows missed" if missed else "\nall required rows met")
    return MISSED if missed else MET


if __name__ == "__main__":
    sys.exit(main())
