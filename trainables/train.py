"""Train one configuration without Ray: `python -m trainables.train --space NAME`."""

from __future__ import annotations

from searchspaces.train_one import main
from trainables.terminal import run_main

__all__ = ["main"]

if __name__ == "__main__":
    run_main(main)
