"""The options of `python -m trainables.train`: reading them needs no torch."""

from __future__ import annotations

import argparse

from trainables.arguments import Parser, count, file_path, nonempty
from trainables.invocation import format_command


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    p = Parser(prog=format_command("train"), description="Train one configuration, without Ray.")
    p.add_argument(
        "--space",
        required=True,
        type=nonempty,
        help="name or file of a space; a file is code and is executed",
    )
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE")
    p.add_argument("--reports", type=count, help="default: that of the space")
    p.add_argument("--data", choices=["real", "synthetic"], default="real")
    p.add_argument("--data-dir", type=file_path, help="folder of data sets (or TUNERY_DATA)")
    p.add_argument("--weights-dir", type=file_path, help="folder of pretrained weights")
    p.add_argument("--teacher", type=file_path, help="model to learn from: an --out folder")
    p.add_argument(
        "--trust-code", action="store_true", help="execute the space file that a teacher names"
    )
    p.add_argument("--device", type=nonempty, help="default: cuda if available, else cpu")
    p.add_argument(
        "--out", type=file_path, help="folder of checkpoints; resumes from its last one"
    )
    p.add_argument("--debug", action="store_true", help="show tracebacks")
    return p
