"""What all commands of the reports share: the server they ask, and messages instead of errors."""

import argparse
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from cluster.storage.redaction import redact
from reports.read.records import Tracker, TrackerError, open_tracker
from reports.records import ReportError


def add_server(parser: argparse.ArgumentParser) -> None:
    """Options that say where a search was written, and --debug."""
    parser.add_argument(
        "--storage", default="runs", metavar="DIR", help="where the search wrote (default: runs)"
    )
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="default: sqlite:///STORAGE/mlflow.db"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")


def answer(options: argparse.Namespace, work: Callable[[Tracker], None]) -> int:
    """Work with the server of the options: 0, or 2 after a message of what to mend."""
    uri = options.tracking_uri or f"sqlite:///{Path(options.storage).resolve() / 'mlflow.db'}"
    try:
        work(open_tracker(uri))
    except (ReportError, TrackerError, OSError) as error:
        if options.debug:
            complain(traceback.format_exc())
        lost = f"The tracking server {uri} could not answer: "
        complain(f"{lost}{error}"[:600] if isinstance(error, TrackerError) else f"{error}")
        return 2
    return 0


def complain(text: object) -> None:
    """Print to standard error, without anybody's password."""
    print(redact(str(text)), file=sys.stderr)
