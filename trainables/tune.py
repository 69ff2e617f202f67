"""Run a search: `python -m trainables.tune --space NAME`."""

from __future__ import annotations

import sys

from cluster.cli import main
from trainables.terminal import escape_output

__all__ = ["main"]

if __name__ == "__main__":
    escape_output()
    sys.exit(main())
