"""Run a search: `python -m trainables.tune --space NAME`, or `tune(...)` in Python."""

from __future__ import annotations

import sys

from cluster.api import tune
from cluster.cli import main
from cluster.result import Result
from trainables.terminal import escape_output

__all__ = ["Result", "main", "tune"]

if __name__ == "__main__":
    escape_output()
    sys.exit(main())
