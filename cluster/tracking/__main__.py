"""Write a search's folder to MLflow again: `python -m cluster.tracking rebuild FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.ledger.files import RERUNS
from cluster.ledger.settings import FILE
from cluster.sampling.study_file import count_infeasible
from cluster.storage.storage import Storage
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter
from trainables.errors import UserError
from trainables.terminal import print_text, run_main

INCOMPLETE = 3
"""Exit code: something is still to be written."""


def rebuild(folder: Path, uri: str | None) -> str | None:
    """Write a search and its confirmation to MLflow again, from the search's folder only.

    Returns what MLflow has not got, if anything.
    """
    if not (folder / FILE).exists():
        raise UserError(
            f"{folder} is not the folder of a search: it has no {FILE}\n"
            "give a folder such as runs/digits"
        )
    ledger = ledgers.reopen_ledger(folder)
    try:
        is_search = ledger.settings.kind == "trial"
        storage = Storage(folder.resolve().parents[0 if is_search else 1], None, uri)
        client = open_client(storage.find_tracking_uri(ledger.settings.tracking_uri))
        infeasible = count_infeasible(folder)
        tracker = MLflowWriter(client, ledger, lambda: infeasible, again=True, notify=print_text)
        tracker.start()
        problem = tracker.close(finished=ledger.finished)
    finally:
        ledger.close()
    if problem is None and (folder / RERUNS / FILE).exists():
        return rebuild(folder / RERUNS, uri)
    return problem


def main() -> int:
    """Run `python -m cluster.tracking rebuild FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.tracking", description=rebuild.__doc__
    )
    parser.add_argument("action", choices=["rebuild"])
    parser.add_argument("folder", type=Path, help="folder of a search, such as runs/digits")
    parser.add_argument("--tracking-uri", help="default: where the search was written to")
    options = parser.parse_args()
    try:
        problem = rebuild(options.folder, options.tracking_uri)
    except UserError as error:
        print_text(error, sys.stderr)
        return 2
    if problem:
        print_text(problem, sys.stderr)
        return INCOMPLETE
    print_text(f"{options.folder} has been written to MLflow again")
    return 0


if __name__ == "__main__":
    run_main(main)
