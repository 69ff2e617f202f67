"""Write a search's folder to MLflow again: `python -m cluster.tracking rebuild FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.ledger.settings import FILE
from cluster.sampling.study import count_infeasible
from cluster.storage.storage import artifact_location
from cluster.tracking.client import open_client
from cluster.tracking.writer import MLflowWriter
from trainables.errors import UserError


def rebuild(folder: Path, uri: str | None) -> None:
    """Write a search and its confirmation to MLflow again, from the search's folder only."""
    if not (folder / FILE).exists():
        raise UserError(
            f"{folder} is not the folder of a search: it has no {FILE}\n"
            "give a folder such as runs/digits"
        )
    ledger = ledgers.reopen_ledger(folder)
    try:
        settings = ledger.settings
        client = open_client(uri or settings.tracking_uri)
        infeasible = count_infeasible(folder)
        storage = folder.parent if settings.kind == "trial" else folder.parent.parent
        artifacts = artifact_location(uri, storage) if uri else settings.artifacts
        tracker = MLflowWriter(client, ledger, artifacts, lambda: infeasible, again=True)
        tracker.start()
        problem = tracker.close(finished=ledger.finished)
    finally:
        ledger.close()
    if problem:
        raise UserError(problem)
    if (folder / "confirm" / FILE).exists():
        rebuild(folder / "confirm", uri)


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
        rebuild(options.folder, options.tracking_uri)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.folder} has been written to MLflow again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
