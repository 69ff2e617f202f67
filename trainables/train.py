"""Train one configuration without Ray: `python -m trainables.train --space NAME`."""

from __future__ import annotations

from searchspaces.train_options import build_parser
from trainables.terminal import announce, run_main


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return the exit code."""
    options = build_parser().parse_args(arguments)
    announce("loading PyTorch")
    from searchspaces.train_one import run  # here, since `--help` needs no torch

    return run(options)


if __name__ == "__main__":
    run_main(main)
