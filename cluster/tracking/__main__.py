"""Write a search's folder to MLflow again: `python -m cluster.tracking rebuild FOLDER`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cluster.ledger import ledger as ledgers
from cluster.sampling.study import count_infeasible
from cluster.tracking.client import artifact_location, open_client
from cluster.tracking.writer import MLflowWriter
from trainables.errors import UserError


def rebuild(folder: Path, uri: str | None) -> None:
    """Write a whole search to MLflow again, its confirmation too, from its folder alone."""
    if not (folder / "search.json").exists():
        raise UserError(f"{folder} is no search's folder: it has no search.json")
    ledger = ledgers.reopen_ledger(folder)
    settings = ledger.settings
    client = open_client(uri or settings["tracking_uri"])
    refused = count_infeasible(folder)
    storage = folder.parent if settings.get("kind", "trial") == "trial" else folder.parent.parent
    place = artifact_location(uri, storage) if uri else settings["artifacts"]
    tracker = MLflowWriter(client, ledger, place, lambda: refused, again=True)
    tracker.start()
    trouble = tracker.close(finished=ledger.finished)
    ledger.close()
    if trouble:
        raise UserError(trouble)
    if (folder / "confirm" / "search.json").exists():
        rebuild(folder / "confirm", uri)


def main() -> int:
    """Run `python -m cluster.tracking rebuild FOLDER`."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.tracking", description=rebuild.__doc__
    )
    parser.add_argument("action", choices=["rebuild"])
    parser.add_argument("folder", type=Path, help="a search's folder, such as runs/digits")
    parser.add_argument("--tracking-uri", help="default: where the search was written to")
    options = parser.parse_args()
    try:
        rebuild(options.folder, options.tracking_uri)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"{options.folder} is in MLflow again")
    return 0


if __name__ == "__main__":
    sys.exit(main())
