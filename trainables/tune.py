"""Run a search: `python -m trainables.tune --space NAME`."""

from __future__ import annotations

import sys

from cluster.cli import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
